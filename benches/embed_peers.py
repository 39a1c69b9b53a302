"""The peers of `facesearch bench`: how fast others do the same work.

Started by `facesearch bench embed|pipeline --peers benches/embed_peers.py --python PYTHON`. One
request a line comes in as JSON, one answer a line goes out: `[{"peer": NAME, "rate": A SECOND}]`,
or vectors where they are asked for. Needs onnx, onnxruntime, dlib-bin, facenet-pytorch, torch,
opencv-python-headless, Pillow, numpy.

- dlib ResNet: onnxruntime with the weights of dlib's file; dlib itself on at most 8 chips.
- ONNX: onnxruntime on the same file.
- DeepFace: onnxruntime on a network of the same shapes with random weights (locally connected
  layers as slices and a product of matrices, which is how ONNX can say them).
- MTCNN: facenet-pytorch, minimum face 40, on the same photos, decoded before the clock starts.
- pipeline: dlib as face_recognition runs it (HOG on the photo enlarged once, 5 points, ResNet; one
  thread, at most 24 photos), and YuNet in OpenCV with a MobileFaceNet in onnxruntime.
"""

import functools
import json
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "models" / "reference"))
import onnxruntime_speed  # noqa: E402

ORT = f"onnxruntime {onnxruntime.__version__}"
POINTS_112 = np.array(
    [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float32
)


def rate(things, run, request):
    """Things a second in the fastest of the runs that fit into the time, after one to warm up, or
    by
    the processor time of all of them."""
    run()
    begin, cpu, best, runs = time.perf_counter(), time.process_time(), float("inf"), 0
    while not runs or time.perf_counter() - begin < request["seconds"]:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
        runs += 1
    if request["cpu_time"]:
        best = (time.process_time() - cpu) / runs
    return things / best


@functools.cache
def session(model, threads):
    """`model` is the name of a file, or bytes of one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


@functools.cache
def dlib_as_onnx(path):
    mean, records = onnxruntime_speed.read(pathlib.Path(path).read_bytes())
    return onnxruntime_speed.Onnx(records).model(mean)


@functools.cache
def deepface_as_onnx():
    """Taigman et al., CVPR 2014, as deepface builds it, without the classifier."""
    rng = np.random.default_rng(2014)
    nodes, weights = [], []

    def add(op, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def weight(*shape):
        values = rng.standard_normal(shape, np.float32) * np.float32(0.05)
        return constant(values)

    def constant(values):
        weights.append(numpy_helper.from_array(values, f"w{len(weights)}"))
        return weights[-1].name

    def integers(*values):
        return constant(np.array(values, np.int64))

    def local(x, channels, side, size, stride):
        out = (side - size) // stride + 1
        end = (out - 1) * stride + 1
        windows = [
            add("Slice", [x, integers(y, i), integers(y + end, i + end), integers(2, 3),
                          integers(stride, stride)])
            for y in range(size) for i in range(size)
        ]
        row = channels * size * size
        x = add("Reshape", [add("Concat", windows, axis=1), integers(-1, row, out * out)])
        x = add("MatMul", [add("Transpose", [x], perm=[2, 0, 1]), weight(out * out, row, 16)])
        x = add("Relu", [add("Add", [x, weight(out * out, 1, 16)])])
        x = add("Transpose", [x], perm=[1, 2, 0])
        return add("Reshape", [x, integers(-1, 16, out, out)]), out

    x = add("Relu", [add("Conv", ["x", weight(32, 3, 11, 11), weight(32)])])
    x = add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    x = add("Relu", [add("Conv", [x, weight(16, 32, 9, 9), weight(16)])])
    x, side = local(x, 16, 63, 9, 1)
    x, side = local(x, 16, side, 7, 2)
    x, side = local(x, 16, side, 5, 1)
    x = add("Flatten", [x])
    x = add("Relu", [add("Gemm", [x, weight(16 * side * side, 4096), weight(4096)])])
    graph = helper.make_graph(
        nodes,
        "deepface",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 152, 152])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", 4096])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()


def onnx_rate(model, request):
    network = session(model, request["threads"])
    inputs = network.get_inputs()[0]
    side = 152 if request["work"] == "DeepFace" else 150
    height, width = (v if isinstance(v, int) else side for v in inputs.shape[2:])
    batch = request["batch"]
    pixels = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
    if isinstance(inputs.shape[0], int) and inputs.shape[0] != batch:
        # The file fixes the number of pictures at once.
        run = lambda: [network.run(None, {inputs.name: p[None]}) for p in pixels]  # noqa: E731
    else:
        run = lambda: network.run(None, {inputs.name: pixels})  # noqa: E731
    return {"peer": ORT, "rate": rate(batch, run, request)}


def dlib_rate(request):
    import dlib

    network = dlib.face_recognition_model_v1(request["files"][0])
    chips = np.random.default_rng(0).integers(
        0, 256, (min(request["batch"], 8), 150, 150, 3), np.uint8
    )
    run = lambda: network.compute_face_descriptor(list(chips))  # noqa: E731
    name = f"dlib {dlib.__version__}, 1 thread"
    return {"peer": name, "rate": rate(len(chips), run, request)}


@functools.cache
def mtcnn():
    import facenet_pytorch

    return facenet_pytorch.MTCNN(keep_all=True, min_face_size=40, device="cpu")


def dlib_descriptors(request):
    import dlib

    network = dlib.face_recognition_model_v1(request["files"][0])
    chips = [np.array(chip, np.uint8).reshape(150, 150, 3) for chip in request["chips"]]
    return [list(network.compute_face_descriptor(chip)) for chip in chips]


def mtcnn_rate(request):
    import torch
    from PIL import Image, ImageOps

    torch.set_num_threads(request["threads"])
    opened = (ImageOps.exif_transpose(Image.open(file)) for file in request["files"])
    photos = [np.array(photo.convert("RGB")) for photo in opened]
    run = lambda: [mtcnn().detect(photo, landmarks=True) for photo in photos]  # noqa: E731
    name = f"facenet-pytorch, torch {torch.__version__}"
    return {"peer": name, "rate": rate(len(photos), run, request)}


def face_recognition_rate(request):
    import dlib
    from PIL import Image

    weights = pathlib.Path(request["weights"])
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(weights / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(
        str(weights / "dlib_face_recognition_resnet_model_v1.dat")
    )
    step = max(1, len(request["files"]) // 24)
    files = request["files"][::step][:24]
    clock = time.process_time if request["cpu_time"] else time.perf_counter
    start = clock()
    for file in files:
        photo = np.array(Image.open(file).convert("RGB"))
        for box in detector(photo, 1):
            network.compute_face_descriptor(photo, predictor(photo, box), 1)
    name = "dlib as face_recognition, 1 thread"
    return {"peer": name, "rate": len(files) / (clock() - start)}


def yunet_rate(request):
    import cv2

    cv2.setNumThreads(request["threads"])
    detector = cv2.FaceDetectorYN.create(request["models"][0], "", (320, 320), 0.6)
    network = session(request["models"][1], request["threads"])
    inputs = network.get_inputs()[0]
    clock = time.process_time if request["cpu_time"] else time.perf_counter
    start = clock()
    for file in request["files"]:
        photo = cv2.imread(file)
        detector.setInputSize((photo.shape[1], photo.shape[0]))
        _, faces = detector.detect(photo)
        chips = []
        for face in faces if faces is not None else []:
            points = face[4:14].reshape(5, 2)
            turn, _ = cv2.estimateAffinePartial2D(points, POINTS_112, method=cv2.LMEDS)
            if turn is not None:
                chip = cv2.warpAffine(photo, turn, (112, 112))[..., ::-1]
                chips.append(((chip - np.float32(127.5)) / 128).transpose(2, 0, 1))
        if not chips:
            continue
        if isinstance(inputs.shape[0], int):
            for chip in chips:
                network.run(None, {inputs.name: chip[None]})
        else:
            network.run(None, {inputs.name: np.stack(chips)})
    name = "YuNet in OpenCV, MobileFaceNet in onnxruntime"
    return {"peer": name, "rate": len(request["files"]) / (clock() - start)}


def answer(request):
    match request["work"]:
        case "dlib ResNet":
            rates = [onnx_rate(dlib_as_onnx(request["files"][0]), request)]
            return rates + ([dlib_rate(request)] if request["threads"] == 1 else [])
        case "ONNX":
            return [onnx_rate(request["files"][0], request)]
        case "DeepFace":
            return [onnx_rate(deepface_as_onnx(), request)]
        case "MTCNN":
            return [mtcnn_rate(request)]
        case "pipeline":
            rates = [face_recognition_rate(request)] if request["dlib"] else []
            return rates + ([yunet_rate(request)] if request["models"] else [])
        case "dlib descriptors":
            return dlib_descriptors(request)
        case other:
            raise ValueError(f"unknown work {other}")


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
