"""Clusters people by `facesearch cluster` and by scikit-learn's DBSCAN, in one run.

    python benches/cluster_peers.py FACESEARCH FACES.npy NAMES.txt METRIC MODEL_THRESHOLD [COPIES
    [FEWER]]

FACESEARCH is the program, FACES.npy one embedding a row, NAMES.txt `person/photo` a line, METRIC
`l2` or `cosine` (unit vectors). DBSCAN is given every radius of a fine grid, and the truth to
choose by; facesearch is given MODEL_THRESHOLD, up to which the model calls two faces one person,
and chooses for itself. Needs numpy and scikit-learn. With COPIES the faces are also multiplied:
each copy is turned by a random rotation, so that its people are strangers to the other copies' and
as far from each other as before, and both are timed on all of them, DBSCAN at its best radius. With
FEWER, DBSCAN gets so many copies only, and facesearch those, too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.cluster import DBSCAN

program, faces, names, metric, threshold = sys.argv[1:6]
copies, fewer = [int(n) for n in (sys.argv[6:] + [0, 0])[:2]]
vectors = np.load(faces).astype(np.float32)
if metric == "cosine":
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
labels = open(names, encoding="utf-8").read().splitlines()
person = np.unique([name.rsplit("/", 2)[-2] for name in labels], return_inverse=True)[1]


def score(group, person):
    """Pairwise precision and recall, and B-cubed F1, from the table of groups and people."""
    cells = np.unique(np.stack([group, person]), axis=1, return_counts=True)
    n, sizes, people = cells[1], np.bincount(group), np.bincount(person)
    pairs = lambda counts: (counts * (counts - 1) / 2).sum()
    precision = pairs(n) / max(pairs(sizes), 1)
    recall = pairs(n) / max(pairs(people), 1)
    p = (n * n / sizes[cells[0][0]]).sum() / len(group)
    r = (n * n / people[cells[0][1]]).sum() / len(group)
    return precision, recall, 2 * p * r / (p + r)


def dbscan(vectors, radius):
    group = DBSCAN(eps=radius, min_samples=2, n_jobs=-1).fit(vectors).labels_
    alone = group < 0
    group[alone] = group.max() + 1 + np.arange(alone.sum())
    return group


def ours(faces, names):
    """The figures and the peak of memory, in megabytes."""
    command = [program, "cluster", "--json", "--embeddings", faces, "--names", names]
    command += ["--metric", metric, "--model-threshold", threshold]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    assert status == 0, out
    got = json.loads(out)
    figures = got["precision"], got["recall"], got["bcubed_f1"]
    more = (
        f" at {got['threshold']:.3f}, {used.ru_utime + used.ru_stime:.1f} s CPU, "
        f"{used.ru_maxrss / 1024:.0f} MB"
    )
    return figures, time.perf_counter() - began, more


def say(who, figures, seconds, more=""):
    precision, recall, f1 = figures
    print(
        f"{who}: precision {precision:.4f}, recall {recall:.4f}, B-cubed F1 {f1:.4f}, "
        f"{seconds:.1f} s{more}"
    )


figures, seconds, more = ours(faces, names)
say("facesearch", figures, seconds, more)
grid = np.arange(0.2, 0.8, 0.02) * (1.0 if metric == "l2" else 1.6)
best, careful = None, None
for radius in grid:
    began = time.perf_counter()
    got = score(dbscan(vectors, radius), person)
    row = (got, radius, time.perf_counter() - began)
    if best is None or got[2] > best[0][2]:
        best = row
    if got[0] >= 0.99 and (careful is None or got[1] > careful[0][1]):
        careful = row
say(f"DBSCAN, best F1 (radius {best[1]:.2f})", best[0], best[2])
if careful:
    say(f"DBSCAN, best recall at precision 0.99 (radius {careful[1]:.2f})", careful[0], careful[2])

if copies:
    random = np.random.default_rng(1)
    rotations = [np.linalg.qr(random.normal(size=(vectors.shape[1],) * 2))[0].astype(np.float32)
                 for _ in range(copies)]
    many = np.concatenate([vectors @ rotation for rotation in rotations])
    who = np.concatenate([person + copy * (person.max() + 1) for copy in range(copies)])
    for part in sorted({copies, fewer or copies}, reverse=True):
        some, them = many[: part * len(vectors)], who[: part * len(vectors)]
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/faces.npy", some)
            with open(f"{folder}/names.txt", "w", encoding="utf-8") as out:
                out.writelines(f"{p}/{i}\n" for i, p in enumerate(them))
            figures, seconds, more = ours(f"{folder}/faces.npy", f"{folder}/names.txt")
        say(f"facesearch, {len(some)} faces", figures, seconds, more)
        if part == (fewer or copies):
            began = time.perf_counter()
            got = score(dbscan(some, best[1]), them)
            say(
                f"DBSCAN, {len(some)} faces (radius {best[1]:.2f})",
                got,
                time.perf_counter() - began,
            )
