"""Would naming the faces of a photo together, so that nobody is in it twice, give better names?

    facesearch batch LIST --index INDEX -k 50 > ANSWERS
    python benches/joint_naming.py ANSWERS TRUTH

ANSWERS has a line for each photo, as `facesearch batch` writes them; each line of TRUTH is a
photo's file name, a tab, and the names of those of the index's people who are in it, separated by
commas; photos that are not in TRUTH show nobody of the index. A name is wrong when it is of
somebody who is not in the photo, or who is named a second time there; whoever is in the photo and
not named is missed. The joint naming is the cheapest assignment by SciPy, with the threshold as the
price of nobody.
"""

import collections
import json
import pathlib
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment


def jointly(faces, threshold):
    """The names of a photo's faces, each at most once; None for nobody."""
    near = [{c["identity"]: c["distance"] for c in reversed(face)
             if c["identity"] and c["distance"] <= threshold} for face in faces]
    people = sorted({name for face in near for name in face})
    if not people:
        return [None] * len(faces)
    cost = np.full((len(faces), len(people) + len(faces)), threshold)
    cost[:, :len(people)] = 2 * threshold
    for row, face in enumerate(near):
        for name, distance in face.items():
            cost[row, people.index(name)] = distance
    chosen = linear_sum_assignment(cost)[1]
    return [people[c] if c < len(people) else None for c in chosen]


def mistakes(names, truth):
    """Wrong names, people named twice among them, and people who are missed."""
    given = collections.Counter(name for name in names if name)
    wrong = sum(times - (name in truth) for name, times in given.items())
    twice = sum(times - 1 for times in given.values())
    return np.array([wrong, twice, len(truth - set(given))])


def main():
    answers, truth_file = sys.argv[1:]
    lines = (line.rstrip("\n").split("\t") for line in open(truth_file, encoding="utf-8"))
    truth = {photo: set(names.split(",")) for photo, names in lines}
    photos = several = faces_seen = changed = 0
    alone, together = np.zeros(3, int), np.zeros(3, int)
    for line in open(answers, encoding="utf-8"):
        answer = json.loads(line)
        faces = [face["candidates"] for face in answer.get("faces", [])]
        of = truth.get(pathlib.PurePath(answer["image"]).name, set())
        own = [face["identity"] for face in answer["faces"]]
        joint = jointly(faces, answer["threshold"])
        photos, several = photos + 1, several + (len(faces) > 1)
        faces_seen += len(faces)
        changed += sum(a != b for a, b in zip(own, joint))
        alone, together = alone + mistakes(own, of), together + mistakes(joint, of)
    print(
        f"{photos} photos, {several} with several faces, {faces_seen} faces, "
        f"{changed} named otherwise"
    )
    for how, (wrong, twice, missed) in [("each alone", alone), ("all together", together)]:
        print(
            f"{how}: {wrong} wrong names ({twice} of somebody named already), "
            f"{missed} people missed"
        )


if __name__ == "__main__":
    main()
