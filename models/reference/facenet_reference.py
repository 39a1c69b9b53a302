"""FaceNet as facenet-pytorch builds and runs it: outputs for weights and inputs that a formula
gives.

    python models/reference/facenet_reference.py crates/facesearch-vision/tests/golden

Needs the packages facenet-pytorch and torch. The folder gets `facenet.shapes`, a line for each
array of the state dict with its name and sizes, and `facenet.f32`, eight embeddings of 512 numbers.
The test `tests/facenet_parity.rs` makes the same weights and inputs, so that it needs neither
PyTorch, which comes with gigabytes of CUDA, nor a file of 94 MB.
"""

import importlib.util
import pathlib
import sys

import numpy as np
import torch

IMAGES = 8


def builder():
    """The package's module alone: importing the package asks for libraries that are not needed."""
    package = importlib.util.find_spec("facenet_pytorch").submodule_search_locations[0]
    path = pathlib.Path(package) / "models" / "inception_resnet_v1.py"
    sys.modules.setdefault("requests", type(sys)("requests"))
    adapters = type(sys)("requests.adapters")
    adapters.HTTPAdapter = object
    sys.modules.setdefault("requests.adapters", adapters)
    source = path.read_text().replace("from .utils.download import", "from facenet_download import")
    download = type(sys)("facenet_download")
    download.download_url_to_file = None
    sys.modules["facenet_download"] = download
    module = type(sys)("inception_resnet_v1")
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module.InceptionResnetV1


def uniform(key, count):
    """`count` numbers in [0, 1): SplitMix64 of a counter, its upper 24 bits."""
    z = np.arange(count, dtype=np.uint64) + np.uint64(key << 32)
    z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(40)


def values(key, name, shape):
    u = uniform(key, int(np.prod(shape))).astype(np.float64) / (1 << 24)
    if len(shape) > 1:
        made = (u - 0.5) * np.sqrt(12 * 2 / np.prod(shape[1:]))
    elif name.endswith(("running_var", "bn.weight")):
        made = 0.7 + 0.6 * u
    else:
        made = (u - 0.5) * 0.6
    return made.astype(np.float32).reshape(shape)


def picture(n):
    patches = uniform(1000 + n, 3 * 8 * 8).astype(np.float64) / (1 << 24) * 2 - 1
    patches = patches.astype(np.float32).reshape(3, 8, 8)
    return patches.repeat(20, axis=1).repeat(20, axis=2)


def main(out):
    out = pathlib.Path(out)
    torch.set_num_threads(1)
    network = builder()(pretrained=None, classify=False).eval()
    state = network.state_dict()
    names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
    lines = []
    for key, name in enumerate(names):
        shape = list(state[name].shape)
        lines.append(" ".join([name, *map(str, shape)]))
        state[name] = torch.from_numpy(values(key, name, shape))
    network.load_state_dict(state)
    with torch.no_grad():
        pictures = torch.from_numpy(np.stack([picture(n) for n in range(IMAGES)]))
        outputs = torch.cat([network(image[None]) for image in pictures]).numpy()
    (out / "facenet.shapes").write_text("\n".join(lines) + "\n")
    outputs.astype("<f4").tofile(out / "facenet.f32")
    apart = np.linalg.norm(outputs[1:] - outputs[:-1], axis=1)
    parameters = sum(p.numel() for p in network.parameters())
    print(parameters, "parameters, apart", apart.round(3), file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
