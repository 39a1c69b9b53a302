"""What onnxruntime and OpenVINO say of network files: fixed inputs and the outputs for them.

    python models/reference/graph_reference.py MODELS DATA OUT

MODELS is a folder that holds `.onnx` files and OpenVINO IRs (`.xml` beside `.bin`) somewhere
inside, DATA one with `people` (aligned chips of faces) and `photos`, OUT a folder that is made.
Needs the packages onnx, onnxruntime, openvino, numpy and Pillow.

Every network gets three chips of faces and the middle of three photos, the same each time, brought
to its size, once as bytes are (0 to 255) and once as `(x - 127.5) / 128`. OUT gets `graphs.json`
and for each network one file of little-endian f32 numbers for each input and output. The test that
reads it: `FACESEARCH_REFERENCE=OUT FACESEARCH_SHARED=... cargo nextest run -p facesearch-nn
graph_parity`.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png"}
OPEN_SIZE = (256, 320)  # rows and columns where a file leaves them open


def pictures(data, rows, columns):
    """Three chips and three photos as (6, 3, rows, columns) numbers 0 to 255."""
    chosen = []
    for folder in ("people", "photos"):
        found = pathlib.Path(data, folder).rglob("*")
        paths = sorted(p for p in found if p.suffix.lower() in SUFFIXES)
        chosen += [paths[i * len(paths) // 3] for i in range(3)]
    planes = []
    for path in chosen:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image = ImageOps.fit(image, (columns, rows), Image.Resampling.BILINEAR)
        planes.append(np.asarray(image, np.float32).transpose(2, 0, 1))
    return np.stack(planes)


def with_onnxruntime(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    weights = {tensor.name for tensor in onnx.load(str(path)).graph.initializer}
    picture = [i for i in session.get_inputs() if i.name not in weights][0]
    rows, columns = (
        size if isinstance(size, int) else OPEN_SIZE[axis]
        for axis, size in enumerate(picture.shape[2:])
    )
    names = [output.name for output in session.get_outputs()]
    return (rows, columns), names, lambda x: session.run(names, {picture.name: x})


def with_openvino(path):
    core = openvino.Core()
    model = core.read_model(str(path))
    rows, columns = model.inputs[0].shape[2:]
    names = [output.any_name if output.names else "" for output in model.outputs]
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return (rows, columns), names, lambda x: list(compiled(x).values())


def main(models, data, out):
    models, out = pathlib.Path(models), pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for path in sorted(models.rglob("*")):
        load = {".onnx": with_onnxruntime, ".xml": with_openvino}.get(path.suffix)
        if load is None:
            continue
        (rows, columns), names, run = load(path)
        bytes_as_they_are = pictures(data, rows, columns)
        inputs = np.concatenate([bytes_as_they_are, (bytes_as_they_are - 127.5) / 128])
        results = [run(picture[None]) for picture in inputs]
        stem = path.relative_to(models).as_posix().replace("/", "-")
        (out / f"{stem}.input.f32").write_bytes(inputs.tobytes())
        entry = {
            "file": path.relative_to(models).as_posix(),
            "input": f"{stem}.input.f32",
            "pictures": len(inputs),
            "size": [rows, columns],
            "outputs": [],
        }
        for i, name in enumerate(names):
            values = np.concatenate([result[i] for result in results]).astype("<f4")
            file = f"{stem}.output{i}.f32"
            (out / file).write_bytes(values.tobytes())
            entry["outputs"].append({"name": name, "shape": values.shape[1:], "values": file})
        entries.append(entry)
    (out / "graphs.json").write_text(json.dumps(entries, indent=1))
    print(f"{len(entries)} networks", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
