"""Boxes, scores and points that YuNet finds in OpenCV, as JSON.

Usage: python yunet_reference.py YUNET.onnx ROOT FILE... > OUT.json   (files relative to ROOT)
       made for the tests with ROOT the output of `cargo run --example decode_photos`, so that
       both sides see the same pixels; `.ppm` is left out of the names
Needs: opencv-python-headless, numpy.
Each face is [x1, y1, x2, y2, score, then x, y of the five points], the surest first.
"""

import json
import sys

import cv2

model, root, *files = sys.argv[1:]
result = {}
for file in files:
    picture = cv2.imread(f"{root}/{file}")
    size = (picture.shape[1], picture.shape[0])
    # Score 0.6, overlap 0.3.
    detector = cv2.FaceDetectorYN.create(model, "", size, 0.6, 0.3, 5000)
    _, faces = detector.detect(picture)
    rows = []
    for face in [] if faces is None else faces.tolist():
        x, y, width, height, *points = face[:14]
        rows.append([x, y, x + width, y + height, face[14], *points])
    rows.sort(key=lambda row: -row[4])
    result[file.removesuffix(".ppm")] = [
        [round(value, 6 if i == 4 else 3) for i, value in enumerate(row)] for row in rows
    ]
json.dump(result, sys.stdout)
print()
