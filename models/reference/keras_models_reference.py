"""VGG-Face and DeepID as Keras builds and runs them, in the shapes that deepface gives them.

    python models/reference/keras_models_reference.py OUT

Needs tensorflow-cpu 2.15 and numpy. For each network OUT gets `NAME.h5` (seeded random weights
saved by Keras, the classifier included), `NAME.json`, `NAME.input.f32` and `NAME.output.f32`. The
test that reads them: `FACESEARCH_REFERENCE=OUT cargo nextest run -p facesearch-vision
keras_models`.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers


def vgg_face():
    """Parkhi et al., BMVC 2015, configuration D; its layers have Keras's own names."""
    x = picture = layers.Input((224, 224, 3))
    for channels, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(times):
            x = layers.ZeroPadding2D((1, 1))(x)
            x = layers.Conv2D(channels, (3, 3), activation="relu")(x)
        x = layers.MaxPooling2D((2, 2), strides=(2, 2))(x)
    x = layers.Conv2D(4096, (7, 7), activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    x = embedding = layers.Conv2D(4096, (1, 1), activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv2D(2622, (1, 1))(x)
    x = layers.Activation("softmax")(layers.Flatten()(x))
    return tf.keras.Model(picture, x), layers.Flatten()(embedding), 8


def deepid():
    """Sun et al., CVPR 2014, figure 2."""
    x = picture = layers.Input((55, 47, 3))
    for number, (channels, size) in enumerate(((20, 4), (40, 3), (60, 3)), 1):
        x = layers.Conv2D(channels, (size, size), activation="relu", name=f"Conv{number}")(x)
        x = layers.MaxPooling2D(pool_size=2, strides=2, name=f"Pool{number}")(x)
    shallow = layers.Dense(160, name="fc11")(layers.Flatten()(x))
    x = layers.Conv2D(80, (2, 2), activation="relu", name="Conv4")(x)
    deep = layers.Dense(160, name="fc12")(layers.Flatten()(x))
    x = layers.Activation("relu", name="deepid")(layers.Add()([shallow, deep]))
    return tf.keras.Model(picture, x), x, 8


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2015)
    for name, build in (("vgg-face", vgg_face), ("deepid", deepid)):
        tf.keras.backend.clear_session()
        model, embedding, images = build()
        for layer in model.layers:
            values = [
                rng.standard_normal(w.shape, np.float32)
                * np.float32(np.sqrt(2 / max(int(np.prod(w.shape[:-1])), 200)))
                for w in layer.weights
            ]
            layer.set_weights(values)
        model.save_weights(str(out / f"{name}.h5"))
        embedder = tf.keras.Model(model.input, embedding)
        inputs = rng.random((images, *model.input.shape[1:]), np.float32)
        outputs = embedder(inputs, training=False).numpy()
        inputs.tofile(out / f"{name}.input.f32")
        outputs.astype("<f4").tofile(out / f"{name}.output.f32")
        facts = {
            "images": images,
            "size": inputs.shape[1:3],
            "dimension": outputs.shape[1],
            "parameters": model.count_params(),
        }
        (out / f"{name}.json").write_text(json.dumps(facts))
        print(name, facts, np.linalg.norm(outputs, axis=1), file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
