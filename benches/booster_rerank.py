"""Would a booster find people better than the distances it is made of?

    facesearch eval ensemble TRAIN.csv --names NAMES.txt --embeddings A.npy --embeddings B.npy
    --save BOOSTER.txt python benches/booster_rerank.py BOOSTER.txt PEOPLE.txt NAMES.txt
    A.npy=THRESHOLD B.npy=THRESHOLD ...

NAMES.txt is `person/photo` a line, each .npy has an embedding a row, THRESHOLD is its model's. Of
PEOPLE.txt (LFW's list, a name at the start of each line) half are enrolled with one photo, ten
times, and all the rest are probes; people of the training pairs should not be among them. Each
probe's 50 nearest by the distances together, as `--model a+b` has them, are ranked again by the
booster; where it gives two the same, the nearer is first. Needs numpy and lightgbm.
"""

import pathlib
import sys

import lightgbm
import numpy as np
from galleries import draw

booster = lightgbm.Booster(model_file=sys.argv[1])
people, names = [open(path, encoding="utf-8").read().splitlines() for path in sys.argv[2:4]]
people = {line.split("\t")[0] for line in people[1:]}
person = np.array([name.rsplit("/", 2)[-2] for name in names])
there = np.isin(person, list(people))
person = np.unique(person[there], return_inverse=True)[1]
table, together = {}, 0
for model in sys.argv[4:]:
    file, threshold = model.rsplit("=", 1)
    vectors = np.load(file).astype(np.float64)[there]
    square = (vectors ** 2).sum(1)
    products = vectors @ vectors.T
    squared = np.maximum(square[:, None] + square[None] - 2 * products, 0)
    name = pathlib.Path(file).stem
    table[f"{name}_l2"] = np.sqrt(squared)
    lengths = np.sqrt(square)
    table[f"{name}_cosine"] = 1 - products / (lengths[:, None] * lengths[None])
    together = together + squared / float(threshold) ** 2
table["all together"] = np.sqrt(together)
features = booster.feature_name()
NEAREST, RATES = 50, (0.1, 0.01)
found = {}
for seed in range(10):
    enrolled, gallery = draw(person, np.random.default_rng(seed))
    probes = np.setdiff1d(np.arange(len(person)), gallery)
    known = enrolled[probes]
    distance = table["all together"][np.ix_(probes, gallery)]
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEAREST]
    rows = (np.repeat(probes, NEAREST), gallery[nearest].ravel())
    raw = booster.predict(
        np.stack([table[name][rows] for name in features], axis=1), raw_score=True
    )
    # Ties of the booster by distance: its steps are far wider than a millionth.
    again = -raw.reshape(nearest.shape) + 1e-6 * np.take_along_axis(distance, nearest, 1)

    def judge(who, scores, columns):
        best = np.argmin(scores, axis=1)
        score = scores[np.arange(len(probes)), best]
        right = person[gallery[columns[np.arange(len(probes)), best]]] == person[probes]
        row = found.setdefault(who, [])
        misses = [
            1 - (right & (score <= np.quantile(score[~known], rate)))[known].mean()
            for rate in RATES
        ]
        row.append([right[known].mean(), *misses])

    everybody = np.broadcast_to(np.arange(len(gallery)), distance.shape)
    for name in [*features, "all together"]:
        judge(name, table[name][np.ix_(probes, gallery)], everybody)
    judge("booster", again, nearest)
print(
    f"{len(gallery)} people, {known.sum()} probes of theirs and {(~known).sum()} of strangers; "
    "mean of ten"
)
for who, rows in found.items():
    rank1, *misses = np.mean(rows, axis=0)
    said = ", ".join(f"{miss:.4f} at {rate}" for miss, rate in zip(misses, RATES))
    print(f"{who}: rank 1 {rank1:.4f}, FNIR {said}")
