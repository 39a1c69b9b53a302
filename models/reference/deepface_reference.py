"""The DeepFace network as Keras builds and runs it: a weight file, and outputs for fixed inputs.

    python models/reference/deepface_reference.py OUT [--classifier]

Needs tensorflow-cpu 2.15 (the last with `LocallyConnected2D`) and numpy. OUT gets
`deepface.h5`, seeded random weights saved by Keras in the layout of the published file, and
`deepface.json` beside `deepface.input.f32` and `deepface.output.f32`. With `--classifier` the file
holds the last layer too, as the published one does: 137,774,071 numbers, 551 MB; without it 409 MB.

The test that reads it: `FACESEARCH_REFERENCE=OUT cargo nextest run -p facesearch-vision
deepface_parity`.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

PEOPLE = 8631  # VGGFace2
IMAGES = 8


def network():
    """Taigman et al., DeepFace, CVPR 2014, figure 2, with the names of the published weights."""
    return tf.keras.Sequential(
        [
            layers.Input((152, 152, 3)),
            layers.Conv2D(32, (11, 11), activation="relu", name="C1"),
            layers.MaxPooling2D(pool_size=3, strides=2, padding="same", name="M2"),
            layers.Conv2D(16, (9, 9), activation="relu", name="C3"),
            layers.LocallyConnected2D(16, (9, 9), activation="relu", name="L4"),
            layers.LocallyConnected2D(16, (7, 7), strides=2, activation="relu", name="L5"),
            layers.LocallyConnected2D(16, (5, 5), activation="relu", name="L6"),
            layers.Flatten(name="F0"),
            layers.Dense(4096, activation="relu", name="F7"),
            layers.Dropout(0.5, name="D0"),
            layers.Dense(PEOPLE, activation="softmax", name="F8"),
        ]
    )


def seeded(model, rng):
    """Weights whose every layer keeps the size of what passes through it."""
    for layer in model.layers:
        shapes = [w.shape for w in layer.weights]
        if not shapes:
            continue
        kernel, bias = shapes
        fan_in = kernel[0] if len(kernel) == 2 else np.prod(kernel[:-1])
        if isinstance(layer, layers.LocallyConnected2D):
            fan_in = kernel[1]
        deviation = np.float32(np.sqrt(2 / int(fan_in)))
        layer.set_weights(
            [
                rng.standard_normal(kernel, np.float32) * deviation,
                rng.standard_normal(bias, np.float32) * np.float32(0.1),
            ]
        )


def main(out, *options):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20140624)
    model = network()
    parameters = model.count_params()
    seeded(model, rng)
    embedder = tf.keras.Model(model.layers[0].input, model.get_layer("F7").output)
    (model if "--classifier" in options else embedder).save_weights(str(out / "deepface.h5"))
    images = rng.random((IMAGES, 152, 152, 3), np.float32)
    outputs = np.concatenate([embedder(image[None], training=False).numpy() for image in images])
    images.tofile(out / "deepface.input.f32")
    outputs.astype("<f4").tofile(out / "deepface.output.f32")
    facts = {"images": IMAGES, "dimension": outputs.shape[1], "parameters": parameters}
    (out / "deepface.json").write_text(json.dumps(facts))
    print(facts, "mean norm", np.linalg.norm(outputs, axis=1).mean(), file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
