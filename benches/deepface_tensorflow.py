"""DeepFace in TensorFlow, as a peer of `facesearch bench embed --work deepface`.

Started by `facesearch bench embed --work deepface --deepface FILE.h5 --peers
benches/deepface_tensorflow.py --python PYTHON`; needs tensorflow-cpu. The weights are those of the
file. Locally connected layers are patches times matrices: Keras's own layer of that kind takes half
a minute for each new batch size.
"""

import functools
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import h5py  # noqa: E402
import numpy as np  # noqa: E402


@functools.cache
def network(path):
    import tensorflow as tf

    with h5py.File(path) as file:
        weights = {}
        file.visititems(
            lambda name, item: weights.update({name.split("/")[-2:][0] + name[-9:-2]: item[()]})
            if isinstance(item, h5py.Dataset)
            else None
        )

    def of_layer(layer, kind):
        return weights[next(k for k in weights if k.startswith(layer) and kind in k)]

    def weight(layer):
        return of_layer(layer, "kernel")

    def bias(layer):
        return of_layer(layer, "bias")

    def local(x, layer, size, stride):
        patches = tf.image.extract_patches(
            x, [1, size, size, 1], [1, stride, stride, 1], [1] * 4, "VALID"
        )
        side = patches.shape[1]
        kernel = weight(layer).reshape(side * side, patches.shape[3], -1)
        rows = tf.transpose(tf.reshape(patches, [-1, side * side, patches.shape[3]]), [1, 0, 2])
        x = tf.transpose(tf.matmul(rows, kernel), [1, 0, 2])
        return tf.nn.relu(tf.reshape(x, [-1, side, side, kernel.shape[2]]) + bias(layer))

    @tf.function
    def run(x):
        x = tf.nn.relu(tf.nn.conv2d(x, weight("C1"), 1, "VALID") + bias("C1"))
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        x = tf.nn.relu(tf.nn.conv2d(x, weight("C3"), 1, "VALID") + bias("C3"))
        x = local(local(local(x, "L4", 9, 1), "L5", 7, 2), "L6", 5, 1)
        x = tf.reshape(x, [x.shape[0], -1])
        return tf.nn.relu(tf.matmul(x, weight("F7")) + bias("F7"))

    return tf.__version__, run


def answer(request):
    """The fastest of the runs that fit into the time, after one to warm up."""
    import tensorflow as tf

    version, run = network(request["files"][0])
    batch = request["batch"]
    x = tf.constant(np.random.default_rng(0).random((batch, 152, 152, 3), np.float32))
    run(x)
    begin, cpu, best, runs = time.perf_counter(), time.process_time(), float("inf"), 0
    while not runs or time.perf_counter() - begin < request["seconds"]:
        start = time.perf_counter()
        run(x).numpy()
        best = min(best, time.perf_counter() - start)
        runs += 1
    if request["cpu_time"]:
        best = (time.process_time() - cpu) / runs
    return [{"peer": f"TensorFlow {version}", "rate": batch / best}]


def main():
    """TensorFlow settles on its threads once, so each number of them is a process of its own."""
    if len(sys.argv) == 1:
        import subprocess

        workers = {}
        for line in sys.stdin:
            threads = json.loads(line)["threads"]
            if threads not in workers:
                workers[threads] = subprocess.Popen(
                    [sys.executable, __file__, str(threads)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
            worker = workers[threads]
            worker.stdin.write(line)
            worker.stdin.flush()
            print(worker.stdout.readline().strip(), flush=True)
        return
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


main()
