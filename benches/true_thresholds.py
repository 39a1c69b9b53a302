"""How often is the observed false alarm rate within a factor of two of the wanted one by luck
alone?

    python benches/true_thresholds.py NAMES.txt FACES.npy l2|cosine [FACES.npy l2|cosine]...

A threshold that is right for these people in the mean over galleries still meets a gallery and
strangers that are not the mean. Half of the people of NAMES.txt (`person/photo` a line) are
enrolled with one photo, sixty times; the right threshold for a rate is that of all sixty together.
It is then tried on twenty further divisions, one by one, as a calibrated one is by `facesearch eval
identify`: no estimate from the enrolled people can be expected to keep its rate more often.
"""

import sys

import numpy as np

names = [
    line.rsplit("/", 2)[-2] for line in open(sys.argv[1], encoding="utf-8").read().splitlines()
]
person = np.unique(names, return_inverse=True)[1]
rows = [np.flatnonzero(person == i) for i in range(person.max() + 1)]
sizes, rates = (400, 800, 1500), (0.1, 0.01)


def nearest(distance, seed):
    """For each size, the distance of each stranger's photo to the nearest of those enrolled."""
    random = np.random.default_rng(seed)
    people = random.permutation(len(rows))
    half = len(people) - len(people) // 2
    gallery = np.array([random.choice(rows[i]) for i in people[:half]])
    strangers = np.concatenate([rows[i] for i in people[half:]])
    return [distance[np.ix_(strangers, gallery[:size])].min(1) for size in sizes]


for faces, metric in zip(sys.argv[2::2], sys.argv[3::2]):
    vectors = np.load(faces).astype(np.float32)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    square = (vectors ** 2).sum(1)
    distance = np.maximum(square[:, None] + square[None] - 2 * vectors @ vectors.T, 0)
    pooled = [
        np.concatenate(of) for of in zip(*(nearest(distance, 1000 + seed) for seed in range(60)))
    ]
    within = {rate: [] for rate in rates}
    for seed in range(20):
        for all_of, near in zip(pooled, nearest(distance, seed)):
            for rate in rates:
                observed = (near <= np.quantile(all_of, rate)).mean() / rate
                within[rate].append(0.5 <= observed <= 2)
    print(faces, *(f"{rate}: {sum(kept)} of {len(kept)}" for rate, kept in within.items()))
