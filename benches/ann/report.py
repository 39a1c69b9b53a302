"""Prints the table of a run of `benches/ann.sh`: each library's speed at equal recall.

Usage: report.py RESULTS.jsonl N

Between two efforts a library's speed is interpolated, logarithm against logarithm of what is
missed. Of an effort that was measured in several rounds the fastest counts, for the machine may
have been busy.
"""

import json
import math
import sys

from peers import SLOW

GOALS = (("recall10", 0.95), ("recall10", 0.99), ("recall10", 0.999), ("recall1", 0.999))


def read(path):
    """What was measured: for each library its facts, and its efforts with the best speeds."""
    libraries = {}
    for line in open(path):
        if not line.startswith("{"):
            continue
        line = json.loads(line)
        facts, efforts = libraries.setdefault(line.pop("name"), ({}, {}))
        if "effort" not in line:
            for key, value in line.items():
                facts[key] = min(value, facts.get(key, value))
            continue
        best = efforts.setdefault(line["effort"], line)
        for key in ("qps1", "qps1_cpu", "qps2"):
            best[key] = max(best[key], line[key])
    return libraries


def at(efforts, recall, goal, speed):
    """Queries a second where `recall` reaches `goal`; None where it never does."""
    # The fastest way to each recall: whatever is slower and worse than another is no choice.
    points = sorted((line[recall], line[speed]) for line in efforts.values())
    best, front = 0, []
    for point in reversed(points):
        if point[1] > best:
            best = point[1]
            front.append(point)
    front.reverse()
    above = next((i for i, point in enumerate(front) if point[0] >= goal), None)
    if above is None:
        return None
    if above == 0:
        return front[0][1]
    (r0, q0), (r1, q1) = front[above - 1 : above + 1]
    missed = lambda r: math.log(max(1 - r, 1e-5))
    share = (missed(goal) - missed(r0)) / (missed(r1) - missed(r0))
    return math.exp(math.log(q0) * (1 - share) + math.log(q1) * share)


def main():
    libraries, n = read(sys.argv[1]), int(sys.argv[2])
    own = libraries["facesearch"][1]
    print(
        "Not reached: by no effort that was tried; a peer's sweep ends below "
        f"{SLOW} queries a second."
    )
    for speed, title in (
        ("qps1", "1 thread"),
        ("qps2", "2 threads"),
        ("qps1_cpu", "1 thread, by its CPU time"),
    ):
        print(f"\nQueries a second, {title}; in brackets how many times faster facesearch is\n")
        print("| | " + " | ".join(f"{name[:6]}@{name[6:]} {goal}" for name, goal in GOALS) + " |")
        print("|---" * (len(GOALS) + 1) + "|")
        for name, (_, efforts) in libraries.items():
            cells = []
            for recall, goal in GOALS:
                it, ours = (at(lines, recall, goal, speed) for lines in (efforts, own))
                ratio = f" ({ours / it:.1f})" if it and ours and name != "facesearch" else ""
                cells.append(f"{it:,.0f}{ratio}" if it else "not reached")
            print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| | build, s | build, CPU s | memory, bytes a face | files, MB | open, ms |")
    print("|---|---|---|---|---|---|")
    for name, (facts, _) in libraries.items():
        per_face = facts.get("memory_mb", math.nan) * 1e6 / n
        row = [
            facts.get("build_wall"),
            facts.get("build_cpu"),
            per_face,
            facts.get("file_mb"),
            facts.get("open_ms"),
        ]
        digits = (0, 0, 0, 0, 1)
        print(
            f"| {name} | "
            + " | ".join("-" if x is None else f"{x:,.{d}f}" for x, d in zip(row, digits))
            + " |"
        )
    print("\nfacesearch's efforts:")
    for effort in ("fast", "balanced", "high"):
        print(effort, own.get(effort))
    print(libraries["facesearch"][0])


if __name__ == "__main__":
    main()
