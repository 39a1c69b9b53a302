"""What dlib itself says of some photos: boxes, landmarks, chips, descriptors.

    python models/reference/dlib_reference.py PHOTOS WEIGHTS OUT

PHOTOS is a folder of pictures, WEIGHTS one that holds dlib's two files
(`shape_predictor_5_face_landmarks.dat`, `dlib_face_recognition_resnet_model_v1.dat`), OUT a folder
that is made. Needs the packages dlib-bin, numpy and Pillow.

OUT gets `dlib.json` and, for every photo with a face, its pixels as raw `r g b` bytes, so that the
test that reads this (`FACESEARCH_REFERENCE=OUT cargo nextest run -p facesearch-vision dlib_parity`)
compares with dlib and not with a JPEG decoder.
"""

import hashlib
import json
import pathlib
import sys

import dlib
import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
LARGEST = 2_500_000  # pixels; HOG takes seconds beyond, and proves nothing more


def faces_of(pixels, detector, predictor, network):
    for box in detector(pixels, 1):
        points = predictor(pixels, box)
        chip = dlib.get_face_chip(pixels, points, 150, 0.25)
        descriptor = network.compute_face_descriptor(pixels, points, 0, 0.25)
        yield {
            "box": [box.left(), box.top(), box.right(), box.bottom()],
            "landmarks": [[p.x, p.y] for p in points.parts()],
            "chip_sha256": hashlib.sha256(chip.tobytes()).hexdigest(),
            "descriptor": [float(v) for v in descriptor],
        }


def main(photos, weights, out):
    weights, out = pathlib.Path(weights), pathlib.Path(out)
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(weights / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(
        str(weights / "dlib_face_recognition_resnet_model_v1.dat")
    )
    out.mkdir(parents=True, exist_ok=True)
    seen, entries = set(), []
    for path in sorted(pathlib.Path(photos).rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        if content in seen:
            continue
        seen.add(content)
        try:
            with Image.open(path) as image:
                image = ImageOps.exif_transpose(image).convert("RGB")
        except OSError as error:
            print(f"skipped {path}: {error}", file=sys.stderr)
            continue
        if image.width * image.height > LARGEST:
            continue
        pixels = np.asarray(image)
        faces = list(faces_of(pixels, detector, predictor, network))
        if not faces:
            continue
        raw = f"{content[:16]}.rgb"
        (out / raw).write_bytes(pixels.tobytes())
        entries.append(
            {
                "photo": str(path.relative_to(photos)),
                "raw": raw,
                "width": image.width,
                "height": image.height,
                "faces": faces,
            }
        )
    (out / "dlib.json").write_text(json.dumps({"dlib": dlib.__version__, "photos": entries}))
    print(
        f"{sum(len(e['faces']) for e in entries)} faces in {len(entries)} photos", file=sys.stderr
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
