"""How far an embedding moves when a network multiplies shorter numbers, by emulation.

    python models/reference/precision.py chips LFW PAIRS.txt WEIGHTS YUNET.onnx CHIPS
    python models/reference/precision.py move dlib|NETWORK.onnx CHIPS [--all] [MODE ...]

`chips` cuts LFW's faces once: for dlib's network as dlib does it (HOG, 5 points), for the others by
YuNet's points; WEIGHTS is the folder of dlib's two files, into which nothing is written. `move`
prints for each MODE the mean and largest L2 distance from the embedding in f32, over 100 chips that
were not used for calibration, and with `--all` the accuracy on the pairs, at the threshold that is
best in f32 and at its own best. A MODE is a precision and a way, as `bf16-four`: precisions bf16,
i8 and i16; ways `direct`, `two` and `four`, the last two with Winograd's transforms for 3x3
convolutions of stride 1, rounding behind them. Sums are exact or in f32. Integers: activations by
one scale for each layer (and plane), the largest of the calibration times 1.25 (i8: times 1);
weights by one for each output channel (and plane); i16 so that no sum can leave 32 bits. Needs
numpy, onnx, torch; `chips` also dlib-bin, opencv and Pillow.
"""

import pathlib
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import onnxruntime_speed  # noqa: E402

CALIBRATION, SAMPLE = 50, 100
FORMS = {
    "two": (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    "four": (
        [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
         [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]],
        [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
         [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}  # fmt: skip
POINTS_112 = np.array(
    [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float32
)


def pairs_of(path):
    """LFW's list: (first photo, second photo, same), photos as person/person_0001.jpg."""
    photo = lambda name, n: f"{name}/{name}_{int(n):04d}.jpg"  # noqa: E731
    for line in pathlib.Path(path).read_text().splitlines()[1:]:
        match line.split():
            case [name, a, b]:
                yield photo(name, a), photo(name, b), True
            case [name, a, other, b]:
                yield photo(name, a), photo(other, b), False


def cut(lfw, pairs, weights, yunet, to):
    import cv2
    import dlib
    from PIL import Image

    pairs = list(pairs_of(pairs))
    names = sorted({name for a, b, _ in pairs for name in (a, b)})
    hog = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(f"{weights}/shape_predictor_5_face_landmarks.dat")
    detector = cv2.FaceDetectorYN.create(yunet, "", (250, 250), 0.6)
    chips = {"dlib": [], "other": []}
    for name in names:
        photo = np.array(Image.open(f"{lfw}/{name}").convert("RGB"))
        middle = lambda r: abs(r.center().x - 125) + abs(r.center().y - 125)  # noqa: E731
        boxes = list(hog(photo, 0)) or list(hog(photo, 1)) or [dlib.rectangle(75, 75, 175, 175)]
        chips["dlib"].append(
            dlib.get_face_chip(photo, predictor(photo, min(boxes, key=middle)), 150)
        )
        _, faces = detector.detect(photo[..., ::-1].copy())
        points = np.array([[105, 112], [145, 112], [125, 135], [108, 155], [142, 155]], np.float32)
        if faces is not None:
            distance = lambda f: np.abs(f[:2] + f[2:4] / 2 - 125).sum()  # noqa: E731
            points = min(faces, key=distance)[4:14].reshape(5, 2)
        turn, _ = cv2.estimateAffinePartial2D(points, POINTS_112, method=cv2.LMEDS)
        chips["other"].append(cv2.warpAffine(photo, turn, (112, 112)))
    place = {name: i for i, name in enumerate(names)}
    rows = np.array([[place[a], place[b], same] for a, b, same in pairs])
    np.savez(to, pairs=rows, **{kind: np.stack(some) for kind, some in chips.items()})


class Network:
    """The nodes of an ONNX file in torch, its convolutions in a precision and a way."""

    def __init__(self, model):
        self.graph = model.graph
        self.known = {
            w.name: torch.from_numpy(np.array(numpy_helper.to_array(w)))
            for w in self.graph.initializer
        }
        self.most, self.measuring, self.mode = {}, False, None

    def run(self, x):
        values = dict(self.known)
        names = [i.name for i in self.graph.input if i.name not in self.known]
        values[names[0]] = x
        for node in self.graph.node:
            take = [values[name] if name else None for name in node.input]
            about = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            values[node.output[0]] = self.node(node, take, about)
        return values[self.graph.output[0].name].flatten(1)

    def node(self, node, x, about):
        pads = about.get("pads", [0, 0, 0, 0])
        match node.op_type:
            case "Constant":
                return torch.from_numpy(np.array(numpy_helper.to_array(about["value"])))
            case "Conv":
                assert pads[:2] == pads[2:]
                stride, groups = about.get("strides", [1, 1]), about.get("group", 1)
                return self.conv(
                    node.output[0],
                    x[0],
                    x[1],
                    x[2] if len(x) > 2 else None,
                    stride,
                    pads[:2],
                    groups,
                )
            case "Relu":
                return x[0].relu()
            case "Clip":
                low = x[1] if len(x) > 1 else about["min"]
                high = x[2] if len(x) > 2 else about["max"]
                return x[0].clip(float(low), float(high))
            case "Add":
                return x[0] + x[1]
            case "Sub":
                return x[0] - x[1]
            case "Mul":
                return x[0] * x[1]
            case "MatMul":
                return x[0] @ x[1]
            case "Flatten" | "Reshape":
                return x[0].flatten(1)
            case "MaxPool":
                return F.max_pool2d(x[0], about["kernel_shape"], about["strides"])
            case "AveragePool":
                return F.avg_pool2d(x[0], about["kernel_shape"], about["strides"])
            case "GlobalAveragePool":
                return x[0].mean((2, 3), keepdim=True)
            case "Pad":
                before, after = x[1].tolist()[:4], x[1].tolist()[4:]
                return F.pad(x[0], [n for i in (3, 2, 1) for n in (before[i], after[i])])
            case other:
                raise ValueError(f"no {other} here")

    def round(self, name, x, planes):
        """Activations; `x` has the planes in its last dimension, or none."""
        precision = self.mode[0]
        if precision == "bf16":
            return x.bfloat16().float()
        if precision == "i16":
            scale = 16383 / self.bound
            return (x * scale).round() / scale
        if self.measuring:
            most = x.abs().reshape(-1, planes).amax(0)
            self.most[name] = torch.maximum(self.most.get(name, most), most)
            return x
        scale = 127 / self.most[name].clamp_min(1e-20)
        return (x * scale).round().clamp(-127, 127) / scale

    def round_weights(self, w, planes):
        """Weights, `(out, in..., planes)`."""
        precision = self.mode[0]
        if precision == "bf16":
            return w.bfloat16().float()
        if self.measuring:
            return w
        dims = tuple(range(1, w.dim() - 1)) if planes > 1 else tuple(range(1, w.dim()))
        most = w.abs().amax(dims, keepdim=True).clamp_min(1e-20)
        scale = 127 / most
        if precision == "i16":
            # The largest sum is the largest activation by the sum of all weights.
            scale = torch.minimum(
                32767 / most, (2**31 - 1) / 16384 / w.abs().sum(dims, keepdim=True).clamp_min(1e-20)
            )
        return (w * scale).round() / scale

    def conv(self, name, x, w, b, stride, pad, groups):
        depthwise = groups > 1
        if self.mode is None or depthwise:
            return F.conv2d(x, w, b, stride, pad, 1, groups)
        small = x.shape[2] <= 4
        form = {"direct": None, "two": "two", "four": "two" if small else "four"}[self.mode[1]]
        # The largest number of each image: what comes out of a transform is at most so many times
        # that.
        most = x.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-20)
        self.bound = most
        if form is None or w.shape[2:] != (3, 3) or stride != [1, 1] or x.shape[2] == 1:
            return F.conv2d(self.round(name, x, 1), self.round_weights(w, 1), b, stride, pad)
        to_planes, kernel, back = (torch.tensor(m, dtype=torch.float64) for m in FORMS[form])
        tile, piece = back.shape
        height, width = x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2
        down, across = -(-height // tile), -(-width // tile)
        x = F.pad(
            x,
            [
                pad[1],
                across * tile + 2 - x.shape[3] - pad[1],
                pad[0],
                down * tile + 2 - x.shape[2] - pad[0],
            ],
        )
        x = x.unfold(2, piece, tile).unfold(3, piece, tile)
        to_planes, back = to_planes.float(), back.float()
        x = (to_planes @ x @ to_planes.T).permute(0, 2, 3, 1, 4, 5)
        n, c, o = len(most), x.shape[3], w.shape[0]
        gain = to_planes.abs().sum(1)
        gain = (gain[:, None] * gain[None, :]).reshape(1, 1, -1)
        self.bound = (most.reshape(-1, 1, 1) * gain).repeat_interleave(down * across, 0)
        x = self.round(name, x.reshape(-1, c, piece * piece), piece * piece)
        w = (kernel @ w.double() @ kernel.T).float().reshape(o, c, piece * piece)
        w = self.round_weights(w, piece * piece)
        y = torch.bmm(x.permute(2, 0, 1), w.permute(2, 1, 0)).permute(1, 2, 0)
        y = back @ y.reshape(-1, o, piece, piece) @ back.T
        y = y.reshape(n, down, across, o, tile, tile).permute(0, 3, 1, 4, 2, 5)
        y = y.reshape(n, o, down * tile, across * tile)[:, :, :height, :width]
        return y if b is None else y + b[:, None, None]


def move(which, chips, every, modes):
    data = np.load(chips)
    if which.endswith(".dat"):
        mean, records = onnxruntime_speed.read(pathlib.Path(which).read_bytes())
        model = onnx.load_model_from_string(onnxruntime_speed.Onnx(records).model(mean))
        pixels, unit = data["dlib"].transpose(0, 3, 1, 2).astype(np.float32), False
    else:
        model = onnx.load(which)
        rgb = data["other"].astype(np.float32) / 255
        mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        pixels, unit = ((rgb - mean) / spread).transpose(0, 3, 1, 2).astype(np.float32), True
    network, pixels = Network(model), torch.from_numpy(pixels)
    calibration = torch.linspace(0, len(pixels) - 1, CALIBRATION).long()
    rest = [i for i in range(len(pixels)) if i not in set(calibration.tolist())]
    sample = pixels if every else pixels[rest[:: len(rest) // SAMPLE][:SAMPLE]]

    def embed(pixels):
        out = torch.cat([network.run(part) for part in pixels.split(20)])
        return F.normalize(out) if unit else out

    def accuracy(distances, threshold):
        return ((distances < threshold) == same).mean()

    with torch.no_grad():
        exact = embed(sample)
        if every:
            first, second, same = data["pairs"].T
            same = same.astype(bool)
            distance = lambda e: (e[first] - e[second]).norm(dim=1).numpy()  # noqa: E731
            best = max(distance(exact), key=lambda t: accuracy(distance(exact), t))
            print(
                f"f32: best threshold {best:.3f}, accuracy {accuracy(distance(exact), best):.4f}",
                flush=True,
            )
        for mode in modes:
            network.mode, network.most = mode.split("-"), {}
            if network.mode[0] == "i8":
                network.measuring = True
                embed(pixels[calibration])
                network.measuring = False
            moved = embed(sample)
            far = (moved - exact).norm(dim=1)
            line = f"{mode}: mean {far.mean():.5f}, most {far.max():.5f}"
            if every:
                d = distance(moved)
                own = max(accuracy(d, t) for t in d)
                line += f"; accuracy {accuracy(d, best):.4f}, at its own best {own:.4f}"
            print(line, flush=True)


match sys.argv[1:]:
    case ["chips", lfw, pairs, weights, yunet, to]:
        cut(lfw, pairs, weights, yunet, to)
    case ["move", which, chips, *rest]:
        every = "--all" in rest
        modes = [m for m in rest if m != "--all"]
        default = [f"{p}-{w}" for p in ("bf16", "i8", "i16") for w in ("direct", "two", "four")]
        move(which, chips, every, modes or default)
    case _:
        sys.exit(__doc__)
