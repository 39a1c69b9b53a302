"""Would it help to ask more of photos of low quality before they are given a name?

    facesearch batch PHOTOS --index INDEX -k 1 > ANSWERS
    python benches/quality_band.py FACES.npy NAMES.txt l2|cosine ANSWERS

FACES.npy has one embedding a row, NAMES.txt `person/photo` a line; PHOTOS lists those photos, and
of ANSWERS, whatever the index, the quality of each photo's first face is taken. Half of the people
are enrolled with one photo, ten times. The threshold is moved by a share of the spread of all
distances times how much worse (closer) or better (wider) a probe's quality ranks than the middle;
for each share the threshold is found anew for the false alarm rate, so that only the misses are to
be compared.
"""

import json
import pathlib
import sys

import numpy as np
from galleries import draw

faces, names, metric, answers = sys.argv[1:]
vectors = np.load(faces).astype(np.float64)
if metric == "cosine":
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
photos = [
    pathlib.PurePath(line).parts[-2:] for line in open(names, encoding="utf-8").read().splitlines()
]
measured = {}
for line in open(answers, encoding="utf-8"):
    answer = json.loads(line)
    for face in answer.get("faces", [])[:1]:
        measured[pathlib.PurePath(answer["image"]).parts[-2:]] = face["quality"]
there = np.array([photo in measured for photo in photos])
vectors = vectors[there]
photos = [photo for photo, is_there in zip(photos, there) if is_there]
person = np.unique([photo[0] for photo in photos], return_inverse=True)[1]
rank = np.argsort(np.argsort([measured[photo] for photo in photos])) / len(photos)
square = (vectors ** 2).sum(1)
distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2 * vectors @ vectors.T, 0))
spread = distance[::7, ::5].std()
shares, rates = (-0.5, -0.25, 0.0, 0.25, 0.5), (0.1, 0.01)
misses = {(share, rate): [] for share in shares for rate in rates}
thirds = [[], [], []]
for seed in range(10):
    enrolled, gallery = draw(person, np.random.default_rng(seed))
    column = {person[row]: i for i, row in enumerate(gallery)}
    known = np.setdiff1d(np.flatnonzero(enrolled), gallery)
    strangers = np.flatnonzero(~enrolled)
    of_known = distance[np.ix_(known, gallery)]
    of_strangers = distance[np.ix_(strangers, gallery)].min(1)
    own = of_known[np.arange(len(known)), [column[person[row]] for row in known]]
    right = own <= of_known.min(1)
    for share in shares:
        moved = share * spread * (0.5 - rank)
        for rate in rates:
            threshold = np.quantile(of_strangers + moved[strangers], rate)
            misses[share, rate].append(1 - (right & (own + moved[known] <= threshold)).mean())
    threshold = np.quantile(of_strangers, rates[0])
    for third in range(3):
        among = (rank[strangers] * 3).astype(int) == third
        thirds[third].append((of_strangers[among] <= threshold).mean())
print("false alarms among the worst, middle and best third, at 0.1 of all:",
      " ".join(f"{np.mean(third):.3f}" for third in thirds))
for rate in rates:
    print(
        f"misses at {rate}:",
        " ".join(f"{share:+.2f}: {np.mean(misses[share, rate]):.4f}" for share in shares),
    )
