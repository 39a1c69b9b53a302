"""How often the face that comes first is not the one nearest to the middle, for several rules.

    facesearch represent --json LFW/*/*.jpg > faces.jsonl
    python3 models/reference/first_face.py faces.jsonl 250 250

The last two numbers are the photos' width and height. LFW's photos are cut around their subject, so
the face nearest to the middle is whom the photo is about.
"""

import json
import math
import sys

RULES = {
    "size": lambda size, seen, d2: size,
    "size seen, times the part seen": lambda size, seen, d2: seen * seen / size,
    "... times 1 - d2": lambda size, seen, d2: seen * seen / size * max(0, 1 - d2),
    "... times exp(-d2)": lambda size, seen, d2: seen * seen / size * math.exp(-d2),
    "... times exp(-2 d2)": lambda size, seen, d2: seen * seen / size * math.exp(-2 * d2),
    "... times exp(-4 d2)": lambda size, seen, d2: seen * seen / size * math.exp(-4 * d2),
    "... divided by 1 + 2 d2": lambda size, seen, d2: seen * seen / size / (1 + 2 * d2),
    "... divided by 1 + 4 d2": lambda size, seen, d2: seen * seen / size / (1 + 4 * d2),
}


def measured(box, width, height):
    """Area, area inside the photo, and squared distance from the middle in half diagonals."""
    x, y, w, h = (box[name] for name in ("x", "y", "width", "height"))
    inside = lambda near, length, side: max(0, min(near + length, side) - max(near, 0))
    off = (x + w / 2 - width / 2) ** 2 + (y + h / 2 - height / 2) ** 2
    seen = inside(x, w, width) * inside(y, h, height)
    return w * h, seen, off / ((width / 2) ** 2 + (height / 2) ** 2)


def main(file, width, height):
    photos = [json.loads(line)["faces"] for line in open(file)]
    photos = [[measured(face["box"], width, height) for face in faces] for faces in photos if faces]
    for name, rule in RULES.items():
        wrong = sum(
            max(faces, key=lambda face: rule(*face)) != min(faces, key=lambda face: face[2])
            for faces in photos
        )
        print(f"{wrong:5} of {len(photos)}  {name}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
