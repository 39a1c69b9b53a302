"""What deepface makes of pixels: each of its normalisations, and its resize between black bars.

    python models/reference/preprocessing_reference.py \
        > crates/facesearch-vision/src/preprocess/golden.json

Needs deepface 0.0.103 (nothing it depends on), numpy and opencv-python-headless.
"""

import json
import sys

import numpy as np
from deepface.modules.preprocessing import normalize_input, resize_image

NAMES = ["base", "raw", "Facenet", "Facenet2018", "VGGFace", "VGGFace2", "ArcFace"]


def picture(width, height):
    """Bytes that look random, as red, green, blue."""
    at = np.arange(width * height * 3, dtype=np.uint64)
    return ((at * 2654435761 >> 7) % 256).astype(np.uint8).reshape(height, width, 3)


def planes(image):
    """Channels, rows, columns, from one image of rows, columns, channels."""
    return [round(float(v), 6) for v in image[0].transpose(2, 0, 1).flatten()]


def main():
    chip = picture(4, 3)
    # As `represent` does: blue first, divided by 255, then normalised.
    start = chip[None, :, :, ::-1].astype(np.float32) / np.float32(255)
    normalised = {name: planes(normalize_input(start.copy(), name)) for name in NAMES}
    photo = picture(13, 9)
    resized = []
    for width, height in ((8, 8), (20, 10), (16, 30), (13, 9)):
        # Faces come to it as numbers from 0 to 1.
        image = resize_image(photo.astype(np.float64) / 255, (height, width))
        values = [round(float(v) * 255, 3) for v in image[0].flatten()]
        resized.append({"size": [width, height], "rgb": values})
    golden = {
        "chip": {"size": [4, 3], "rgb": chip.flatten().tolist()},
        "normalised": normalised,
        "photo": {"size": [13, 9], "rgb": photo.flatten().tolist()},
        "resized": resized,
    }
    json.dump(golden, sys.stdout, separators=(",", ":"))
    print()


main()
