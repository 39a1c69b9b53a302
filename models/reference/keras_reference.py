"""A small network of every kind of layer with weights, saved by Keras in both of its layouts.

    python models/reference/keras_reference.py OUT

Needs tensorflow-cpu 2.15 and numpy. OUT gets `keras-small.h5` (weights alone),
`keras-small-model.h5` (the whole model) and `keras-small.json`, the arrays by name in the layout
that facesearch's layers use. The test that reads them: `FACESEARCH_REFERENCE=OUT cargo nextest run
-p facesearch-nn keras`.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers


def network():
    return tf.keras.Sequential(
        [
            layers.Input((9, 8, 3)),
            layers.Conv2D(4, (3, 2), name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.PReLU(shared_axes=[1, 2], name="slope"),
            layers.DepthwiseConv2D((2, 3), depth_multiplier=2, name="depthwise"),
            layers.LocallyConnected2D(3, (2, 2), name="local"),
            layers.Flatten(name="flat"),
            layers.Dense(5, name="dense"),
        ]
    )


def turned(name, values):
    """Keras's kernels in the layout `[out, in, rows, columns]`."""
    if name == "depthwise_kernel":
        rows, columns, channels, multiplier = values.shape
        return values.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, rows, columns)
    if name == "kernel" and values.ndim == 4:
        return values.transpose(3, 2, 0, 1)
    if name == "kernel" and values.ndim == 2:
        return values.T
    return values


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    model = network()
    golden = {}
    for layer in model.layers:
        values = [rng.standard_normal(w.shape, np.float32) for w in layer.weights]
        layer.set_weights(values)
        for weight, value in zip(layer.weights, values):
            name = weight.name.split(":")[0]
            value = turned(name.split("/")[-1], value)
            golden[name.replace("/", ".")] = {
                "shape": value.shape,
                "values": [float(v) for v in value.flatten()],
            }
    model.save_weights(str(out / "keras-small.h5"))
    model.save(str(out / "keras-small-model.h5"))
    (out / "keras-small.json").write_text(json.dumps(golden))


if __name__ == "__main__":
    main(*sys.argv[1:])
