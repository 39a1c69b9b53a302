"""SFace as OpenCV's model zoo has it: an ONNX file of seeded weights, and onnxruntime's outputs.

    python models/reference/sface_reference.py OUT

Needs the packages onnx, onnxruntime and numpy. OUT gets `sface.onnx`, in layers, names and shapes
like `face_recognition_sface_2021dec.onnx` (38.7 MB), `sface.json`, `sface.input.f32` and
`sface.output.f32`. The test that reads them: `FACESEARCH_REFERENCE=OUT cargo nextest run -p
facesearch-vision sface`.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

IMAGES = 8
SIDE = 112
# Channels and stride of each depthwise convolution and the convolution behind it.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
BLOCKS += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]


class Graph:
    def __init__(self, rng):
        self.rng = rng
        self.nodes = []
        self.weights = []
        self.trained = 0

    def weight(self, name, values, counts=True):
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        self.trained += np.size(values) if counts else 0
        return name

    def uniform(self, name, low, high, *shape):
        return self.weight(name, self.rng.uniform(low, high, shape))

    def normal(self, name, *shape):
        deviation = np.sqrt(1.5 / np.prod(shape[1:]))
        return self.weight(name, self.rng.standard_normal(shape, np.float32) * deviation)

    def node(self, operator, name, *inputs, **options):
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **options))
        return name

    def norm(self, x, name, channels):
        parts = [
            self.uniform(f"{name}_{part}", low, high, channels)
            for part, low, high in (
                ("gamma", 0.7, 1.3),
                ("beta", -0.3, 0.3),
                ("moving_mean", -0.3, 0.3),
                ("moving_var", 0.7, 1.3),
            )
        ]
        return self.node("BatchNormalization", name, x, *parts, epsilon=0.001)

    def convolution(self, x, name, channels, size, stride, groups=1):
        into, out = channels
        weight = self.normal(f"{name}_conv2d_weight", out, into // groups, size, size)
        pad = [size // 2] * 4
        options = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": pad}
        x = self.node("Conv", f"{name}_conv2d", x, weight, group=groups, **options)
        x = self.norm(x, f"{name}_batchnorm", out)
        slope = self.uniform(f"{name}_relu_gamma", 0.05, 0.5, out, 1, 1)
        return self.node("PRelu", f"{name}_relu", x, slope)


def model(rng):
    g = Graph(rng)
    x = g.node("Sub", "_minusscalar0", "data", g.weight("scalar_op1", [127.5], counts=False))
    x = g.node("Mul", "_mulscalar0", x, g.weight("scalar_op2", [0.0078125], counts=False))
    x = g.convolution(x, "conv_1", (3, 32), 3, 1)
    channels = 32
    for i, (out, stride) in enumerate(BLOCKS, 2):
        x = g.convolution(x, f"conv_{i}_dw", (channels, channels), 3, stride, groups=channels)
        x = g.convolution(x, f"conv_{i}", (channels, out), 1, 1)
        channels = out
    x = g.norm(x, "bn1", channels)
    x = g.node("Dropout", "dropout0", x)
    x = g.node("Flatten", "flatten_60", x)
    weight = g.normal("pre_fc1_weight", 128, channels * 7 * 7)
    x = g.node("Gemm", "pre_fc1", x, weight, g.uniform("pre_fc1_bias", -0.3, 0.3, 128), transB=1)
    g.norm(x, "fc1", 128)
    picture = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    output = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 128])
    # Files of that age name their weights among the inputs too.
    inputs = [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in g.weights]
    graph = helper.make_graph(g.nodes, "sface", [picture, *inputs], [output], g.weights)
    opset = [helper.make_opsetid("", 9)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=4)
    onnx.checker.check_model(made)
    return made, g.trained


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20211200)
    made, parameters = model(rng)
    onnx.save(made, str(out / "sface.onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns of each weight among the inputs
    session = onnxruntime.InferenceSession(
        str(out / "sface.onnx"), options, ["CPUExecutionProvider"]
    )
    patches = rng.integers(0, 256, (IMAGES, 3, 7, 7))
    images = patches.repeat(16, axis=2).repeat(16, axis=3).astype(np.float32)
    outputs = np.concatenate([session.run(["fc1"], {"data": x[None]})[0] for x in images])
    images.tofile(out / "sface.input.f32")
    outputs.astype("<f4").tofile(out / "sface.output.f32")
    facts = {"images": IMAGES, "size": [SIDE, SIDE], "dimension": 128, "parameters": parameters}
    (out / "sface.json").write_text(json.dumps(facts))
    norms = np.linalg.norm(outputs, axis=1)
    apart = np.linalg.norm(outputs[1:] - outputs[:-1], axis=1) / norms[1:]
    print("sface", facts, "norms", norms.round(2), "apart", apart.round(3), file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
