"""How many chips a second onnxruntime and dlib embed with dlib's face network.

    python models/reference/onnxruntime_speed.py dlib_face_recognition_resnet_model_v1.dat [--dlib]

Reads the weights with a reader of its own, writes the network as ONNX next to them (in memory),
checks it against dlib where `--dlib` is given, and times batches of 1, 8 and 32 on one and two
threads: the best of the runs that fit into four seconds. Needs onnx, onnxruntime and numpy, with
`--dlib` also dlib-bin. `cargo run --release -p facesearch-vision --example embed_speed` is the
other side.
"""

import struct
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n : self.at]

    def int(self):
        control = self.take(1)[0]
        value = int.from_bytes(self.take(control & 15), "little")
        return -value if control & 128 else value

    def float(self):
        mantissa = self.int()
        return mantissa * 2.0 ** self.int()

    def text(self):
        return self.take(self.int()).decode()

    def tensor(self):
        assert self.int() == 2
        shape = [self.int() for _ in range(4)]
        raw = self.take(4 * int(np.prod(shape)))
        return np.frombuffer(raw, "<f4").reshape(shape)

    def alias(self):
        assert self.int() == 1
        return [self.int() for _ in range(4)]

    def state(self, tensors):
        self.take(3)
        for _ in range(tensors):
            self.tensor()

    def record(self):
        tag = self.text()
        if tag.startswith("con_"):
            params = self.tensor().ravel()
            self.int()
            window = [self.int() for _ in range(6)]
            shape, _ = self.alias(), self.alias()
            for _ in range(4):
                self.float()
            if tag >= "con_5":
                self.take(1)
            n = int(np.prod(shape))
            return "con", params[:n].reshape(shape), params[n:], window
        if tag.startswith("affine_"):
            params = self.tensor().ravel()
            self.alias(), self.alias(), self.int()
            if tag == "affine_2":
                self.take(1)
            return ("affine", params[: len(params) // 2], params[len(params) // 2 :])
        if tag.startswith("fc_"):
            self.int(), self.int()
            params = self.tensor()
            shape = self.alias()
            self.alias(), self.int()
            for _ in range(4):
                self.float()
            if tag == "fc_3":
                self.take(1)
            return "fc", params.reshape(-1)[: int(np.prod(shape))].reshape(shape[0], -1)
        if "pool" in tag:
            return tag[:3], [self.int() for _ in range(6)]
        if tag == "relu_2":
            self.take(1)
        return (tag,)


STAGES = [3, 3, 2, 2, 0]


def read(data):
    reader = Reader(data)
    reader.int()
    if reader.text() == "loss_metric_2":
        reader.float(), reader.float()
    steps = "LL"
    for stage, units in reversed(list(enumerate(STAGES))):
        steps += "LLLLLLLM" * units + ("LLLMMLLLLLM" if stage else "")
    steps += "LLL"
    versions = [(step, reader.int()) for step in steps]
    innermost = reader.int()
    reader.text()
    mean = [reader.float() for _ in range(3)]
    reader.int(), reader.int()
    records = [reader.record()]
    reader.state(3)
    if innermost == 3:
        reader.int()
    for step, version in reversed(versions):
        if step == "L":
            records.append(reader.record())
            reader.state(1 + version)
    assert reader.at == len(data)
    return mean, records


class Onnx:
    """Convolutions with their affine layers folded in, as any exporter would write them."""

    def __init__(self, records):
        self.records, self.nodes, self.weights, self.n = iter(records), [], [], 0

    def add(self, op, inputs, **attributes):
        self.n += 1
        self.nodes.append(helper.make_node(op, inputs, [f"v{self.n}"], **attributes))
        return f"v{self.n}"

    def weight(self, array):
        self.n += 1
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{self.n}"))
        return f"w{self.n}"

    def conv(self, x):
        _, weight, bias, (_, _, sy, sx, py, px) = next(self.records)
        _, gamma, beta = next(self.records)
        w = self.weight(weight * gamma[:, None, None, None])
        b = self.weight(bias * gamma + beta if len(bias) else beta)
        return self.add("Conv", [x, w, b], strides=[sy, sx], pads=[py, px, py, px])

    def relu(self, x):
        assert next(self.records)[0].startswith("relu")
        return self.add("Relu", [x])

    def pool(self, x):
        kind, (h, w, sy, sx, py, px) = next(self.records)
        if h == 0:
            return self.add("GlobalAveragePool", [x])
        op = "MaxPool" if kind == "max" else "AveragePool"
        return self.add(op, [x], kernel_shape=[h, w], strides=[sy, sx], pads=[py, px, py, px])

    def block(self, x):
        return self.conv(self.relu(self.conv(x)))

    def sum(self, y, x):
        assert next(self.records)[0] == "add_prev_"
        return self.relu(self.add("Add", [y, x]))

    def pad(self, x, pads):
        return self.add("Pad", [x, self.weight(np.array(pads, np.int64))])

    def model(self, mean):
        x = self.add("Sub", ["x", self.weight(np.array(mean, np.float32).reshape(1, 3, 1, 1))])
        x = self.add("Mul", [x, self.weight(np.array(1 / 256, np.float32))])
        x = self.pool(self.relu(self.conv(x)))
        channels, side = 32, 35
        for stage, units in enumerate(STAGES):
            if stage:
                y, shortcut = self.block(x), self.pool(x)
                grown = channels if stage < 4 else 0
                block, half = (side - 3) // 2 + 1, side // 2
                if block < half:
                    y = self.pad(y, [0, 0, 0, 0, 0, 0, half - block, half - block])
                if grown:
                    shortcut = self.pad(shortcut, [0, 0, 0, 0, 0, grown, 0, 0])
                    channels *= 2
                x, side = self.sum(y, shortcut), half
            for _ in range(units):
                x = self.sum(self.block(x), x)
        x = self.add("Flatten", [self.pool(x)])
        x = self.add("MatMul", [x, self.weight(next(self.records)[1])])
        graph = helper.make_graph(
            self.nodes,
            "dlib",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 150, 150])],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", 128])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return model.SerializeToString()


def best(run):
    run()
    begin, least = time.perf_counter(), float("inf")
    while time.perf_counter() - begin < 4:
        start = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - start)
    return least


def main(path, with_dlib):
    mean, records = read(open(path, "rb").read())
    model = Onnx(records).model(mean)
    chips = np.random.default_rng(0).integers(0, 256, (32, 150, 150, 3), np.uint8)
    pixels = chips.transpose(0, 3, 1, 2).astype(np.float32)
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        for batch in (1, 8, 32):
            took = best(lambda: session.run(None, {"x": pixels[:batch]}))
            rate = batch / took
            print(
                f"onnxruntime {onnxruntime.__version__}, {threads} threads, batch {batch:2}: "
                f"{rate:6.1f} faces/s"
            )
    if with_dlib:
        import dlib

        network = dlib.face_recognition_model_v1(path)
        ours = session.run(None, {"x": pixels[:4]})[0]
        theirs = np.array([network.compute_face_descriptor(chip) for chip in chips[:4]])
        print(f"farthest from dlib: {np.linalg.norm(ours - theirs, axis=1).max():.1e}")
        for batch in (1, 8):
            some = list(chips[:batch])
            took = best(lambda: network.compute_face_descriptor(some))
            print(
                f"dlib {dlib.__version__}, 1 thread, batch {batch:2}: {batch / took:6.1f} faces/s"
            )


if __name__ == "__main__":
    main(sys.argv[1], "--dlib" in sys.argv[2:])
