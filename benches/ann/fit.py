"""How well the made-up embeddings follow real ones: quantiles of distances, side by side.

Usage: fit.py EMBEDDINGS.npy NAMES.txt DIR DIM

EMBEDDINGS has one row for each line of NAMES, `Person/photo.jpg`; DIR is what `benches/ann` made.
Of the made-up faces so many are taken as there are real ones, of as many people.
"""

import sys
from pathlib import Path

import numpy as np

QUANTILES = (1, 5, 25, 50, 75, 95, 99)


def quantiles(vectors, people):
    """Quantiles of the distances within a person, between people, and to the nearest stranger.

    People with more than ten photos are left out of the first, or they would be most of it.
    """
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.sqrt(np.maximum(2 - 2 * vectors @ vectors.T, 0))
    same = people[:, None] == people[None]
    above = np.triu_indices(len(vectors), 1)
    few = np.bincount(people)[people] <= 10
    within = distances[above][same[above] & few[above[0]]]
    between = distances[above][~same[above]]
    distances[same] = 9
    parts = within, between, distances.min(1)
    return [np.percentile(part, QUANTILES) for part in parts]


def take(vectors, people, counts):
    """As many people as `counts` has, with so many photos, as far as they have them."""
    order = np.argsort(people, kind="stable")
    groups = np.split(order, np.unique(people[order], return_index=True)[1][1:])
    groups.sort(key=len, reverse=True)
    step = len(groups) // len(counts)
    # From many photos to few on both sides, or those with many would not be found.
    ends = [group[:count] for group, count in zip(groups[::step], sorted(counts)[::-1])]
    rows = np.concatenate(ends)
    return np.asarray(vectors[rows], np.float64), np.unique(people[rows], return_inverse=True)[1]


def main():
    real, names, where, dim = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    names = [line.split("/")[0] for line in Path(names).read_text().splitlines()]
    of_real = np.unique(names, return_inverse=True)[1]
    published = next(where.glob("index/published/*/vectors"))
    people = np.fromfile(where / "people.u64", np.uint64)
    made = np.memmap(published, np.float32, "r", 64, (len(people), dim))
    columns = quantiles(np.load(real).astype(np.float64), of_real)
    made = quantiles(*take(made, people, np.bincount(of_real)))
    print("| percentile | " + " | ".join(map(str, QUANTILES)) + " |")
    print("|---" * (len(QUANTILES) + 1) + "|")
    for name, *both in zip(("within", "between", "nearest stranger"), columns, made):
        for whose, row in zip(("real", "made"), both):
            print(f"| {name}, {whose} | " + " | ".join(f"{x:.3f}" for x in row) + " |")


if __name__ == "__main__":
    main()
