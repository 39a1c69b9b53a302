"""Small files of every format of weights and networks, each written by the program it comes from.

    python models/reference/formats_reference.py crates/facesearch-nn/tests/formats FORMAT...

FORMAT is any of `keras` (needs tensorflow-cpu 2.15), `torch` (torch, safetensors), `onnx` (onnx)
and `openvino` (openvino, onnx). Each file holds a few layers with seeded weights; the networks take
one picture of three channels, 12 x 12, to eight numbers. `tests/damaged.rs` damages them.
"""

import pathlib
import sys

import numpy as np

SHAPES = {
    "conv.weight": (8, 3, 3, 3),
    "norm.weight": (8,),
    "norm.bias": (8,),
    "norm.running_mean": (8,),
    "norm.running_var": (8,),
    "slope.weight": (8,),
    "dense.weight": (8, 8),
    "dense.bias": (8,),
}


def arrays():
    rng = np.random.default_rng(2)
    made = {}
    for name, shape in SHAPES.items():
        values = rng.standard_normal(shape).astype(np.float32)
        made[name] = np.abs(values) + 0.5 if name == "norm.running_var" else values * 0.5
    return made


def keras(out):
    import tensorflow as tf
    from tensorflow.keras import layers

    model = tf.keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(8, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.PReLU(shared_axes=[1, 2], name="slope"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(8, name="dense"),
        ]
    )
    a = arrays()
    norm = [a[f"norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    model.get_layer("conv").set_weights([a["conv.weight"].transpose(2, 3, 1, 0)])
    model.get_layer("norm").set_weights(norm)
    model.get_layer("slope").set_weights([a["slope.weight"].reshape(1, 1, 8)])
    model.get_layer("dense").set_weights([a["dense.weight"].T, a["dense.bias"]])
    model.save_weights(str(out / "keras.h5"))


def torch(out):
    import torch
    from safetensors.torch import save_file

    state = {name: torch.from_numpy(values) for name, values in arrays().items()}
    torch.save(state, out / "torch-zip.pt")
    torch.save(state, out / "torch-old.pt", _use_new_zipfile_serialization=False)
    halves = {name: tensor.half() for name, tensor in state.items()}
    torch.save(halves, out / "torch-half.pt")
    save_file(state, out / "safetensors.safetensors")


def network():
    from onnx import TensorProto, checker, helper, numpy_helper

    a = arrays()
    a["slope.weight"] = a["slope.weight"].reshape(8, 1, 1)
    norm = [f"norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    nodes = [
        helper.make_node("Conv", ["picture", "conv.weight"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["a", *norm], ["b"], "norm"),
        helper.make_node("PRelu", ["b", "slope.weight"], ["c"], "slope"),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "mean"),
        helper.make_node("Flatten", ["d"], ["e"], "flat"),
        helper.make_node("Gemm", ["e", "dense.weight", "dense.bias"], ["out"], "dense", transB=1),
    ]
    weights = [numpy_helper.from_array(values, name) for name, values in a.items()]
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 12, 12])
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 8])
    graph = helper.make_graph(nodes, "small", [picture], [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    return model


def onnx(out):
    import onnx

    onnx.save(network(), str(out / "onnx.onnx"))


def openvino(out):
    import onnx
    import openvino

    path = out / "openvino.onnx"
    onnx.save(network(), str(path))
    model = openvino.convert_model(str(path))
    openvino.save_model(model, str(out / "openvino.xml"), compress_to_fp16=True)
    path.unlink()


def main(out, *formats):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    known = {"keras": keras, "torch": torch, "onnx": onnx, "openvino": openvino}
    for name in formats:
        known[name](out)


if __name__ == "__main__":
    main(*sys.argv[1:])
