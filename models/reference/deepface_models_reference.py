"""Recognition networks as deepface builds them: weights that Keras saved, outputs that it computed.

    python models/reference/deepface_models_reference.py OUT [NAME...]

Needs deepface 0.0.103 (its builders alone; none of what it depends on but requests), tensorflow-cpu
2.15 and numpy. For each of `facenet-128`, `facenet-512`, `openface`, `arcface` and `ghostfacenet`
OUT gets `NAME.h5` (seeded random weights, statistics of the normalisations included), `NAME.json`,
`NAME.input.f32` and `NAME.output.f32`. The test that reads them: `FACESEARCH_REFERENCE=OUT cargo
nextest run -p facesearch-vision deepface_models`.
"""

import importlib
import json
import pathlib
import sys

import numpy as np
import tensorflow as tf

IMAGES = 8
BUILDERS = "deepface.models.facial_recognition.tf"


def deepface(module):
    """A module of deepface with its downloads taken out: its networks come back as built."""
    sys.modules.setdefault("gdown", type(sys)("gdown"))
    weights = importlib.import_module("deepface.commons.weight_utils")
    weights.download_weights_if_necessary = lambda **_: ""
    weights.load_model_weights = lambda model, weight_file: model
    return importlib.import_module(f"{BUILDERS}.{module}")


NETWORKS = {
    "facenet-128": lambda: deepface("Facenet").load_facenet128d_model(),
    "facenet-512": lambda: deepface("Facenet").load_facenet512d_model(),
    "openface": lambda: deepface("OpenFace").load_model(),
    "arcface": lambda: deepface("ArcFace").load_model(),
    "ghostfacenet": lambda: deepface("GhostFaceNet").load_model(),
}


# Sums of branches grow what passes through: smaller kernels keep summands from being lost in it.
GAINS = {"arcface": 0.6, "ghostfacenet": 0.6}


def seeded(weight, gain, rng):
    """An array whose layer keeps the size of what passes through it, and hides no term."""
    name = weight.name.split("/")[-1].split(":")[0]
    shape = weight.shape
    uniform = lambda low, high: rng.uniform(low, high, shape).astype(np.float32)
    if name in ("gamma", "moving_variance"):
        return uniform(0.7, 1.3)
    if name == "alpha":
        return uniform(0.05, 0.5)
    if name in ("beta", "bias", "moving_mean"):
        return uniform(-0.3, 0.3)
    fan_in = np.prod(shape[:2] if name == "depthwise_kernel" else shape[:-1])
    return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(gain / int(fan_in)))


def pictures(rng, side):
    """Patches of colour with some noise: unlike each other, as plain noise would not be."""
    patches = rng.random((IMAGES, 8, 8, 3), np.float32)
    large = patches.repeat(side // 8, axis=1).repeat(side // 8, axis=2)
    return (0.8 * large + 0.2 * rng.random(large.shape, np.float32)).astype(np.float32)


def main(out, *names):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in names or NETWORKS:
        rng = np.random.default_rng(list(name.encode()))
        tf.keras.backend.clear_session()
        model = NETWORKS[name]()
        for layer in model.layers:
            layer.set_weights([seeded(weight, GAINS.get(name, 2), rng) for weight in layer.weights])
        model.save_weights(str(out / f"{name}.h5"))
        images = pictures(rng, model.input_shape[1])
        outputs = model(images, training=False).numpy()
        images.tofile(out / f"{name}.input.f32")
        outputs.astype("<f4").tofile(out / f"{name}.output.f32")
        facts = {
            "images": IMAGES,
            "size": images.shape[1:3],
            "dimension": outputs.shape[1],
            "parameters": model.count_params(),
        }
        (out / f"{name}.json").write_text(json.dumps(facts))
        norms = np.linalg.norm(outputs, axis=1)
        apart = np.linalg.norm(outputs[1:] - outputs[:-1], axis=1) / norms[1:]
        print(name, facts, "norms", norms.round(3), "apart", apart.round(3), file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
