"""Boxes, probabilities and points that facenet-pytorch's MTCNN finds, as JSON.

Usage: python mtcnn_reference.py ROOT MIN_FACE FILE... > OUT.json   (files relative to ROOT)
       made for the tests with ROOT the output of `cargo run --example decode_photos`, so that
       both sides see the same pixels; `.ppm` is left out of the names
       python mtcnn_reference.py --time ROOT MIN_FACE FILE...       (milliseconds for each photo)
Needs: facenet-pytorch 2.6.0, torch, Pillow. The weights are those inside facenet-pytorch.
Each face is [x1, y1, x2, y2, probability, then x, y of the five points], the surest first.
"""

import json
import sys
import time

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image, ImageOps


def pixels(path):
    return np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def faces(detector, picture):
    boxes, scores, points = detector.detect(picture, landmarks=True)
    if boxes is None:
        return []
    rows = [[*box, score, *np.ravel(five)] for box, score, five in zip(boxes, scores, points)]
    rows.sort(key=lambda row: -row[4])
    return [
        [round(float(value), 3 if i != 4 else 6) for i, value in enumerate(row)] for row in rows
    ]


def main(arguments):
    timing = arguments[0] == "--time"
    root, min_face, *files = arguments[timing:]
    detector = MTCNN(keep_all=True, min_face_size=int(min_face), device="cpu")
    torch.set_num_threads(1)
    result = {}
    for file in files:
        picture = pixels(f"{root}/{file}")
        if timing:
            best = float("inf")
            for _ in range(5):
                start = time.perf_counter()
                faces(detector, picture)
                best = min(best, time.perf_counter() - start)
            print(f"{file} {picture.shape[1]}x{picture.shape[0]} {best * 1000:.1f} ms")
        else:
            result[file.removesuffix(".ppm")] = faces(detector, picture)
    if not timing:
        json.dump(result, sys.stdout)
        print()


main(sys.argv[1:])
