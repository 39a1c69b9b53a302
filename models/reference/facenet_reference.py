"""FaceNet as facenet-pytorch builds and runs it: seeded weights, and outputs for fixed inputs.

    python models/reference/facenet_reference.py OUT

Needs the packages facenet-pytorch and torch. OUT gets `facenet.pt`, a state dict in the layout of
the published files, `facenet.json`, `facenet.input.f32` and `facenet.output.f32`. The test that
reads them: `FACESEARCH_REFERENCE=OUT cargo nextest run -p facesearch-vision facenet`.
"""

import importlib.util
import json
import pathlib
import sys

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
    package = type(sys)("facenet")
    package.__path__ = [str(path.parent.parent), str(path.parent)]
    source = path.read_text().replace("from .utils.download import", "from facenet_download import")
    download = type(sys)("facenet_download")
    download.download_url_to_file = None
    sys.modules["facenet_download"] = download
    module = type(sys)("inception_resnet_v1")
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module.InceptionResnetV1


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20150312)
    torch.set_num_threads(1)
    network = builder()(pretrained=None, classify=False).eval()
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        # Statistics as after training; fresh ones are all zeros and ones, which prove nothing.
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(shape, generator=generator) * 0.5 + 0.1)
            with torch.no_grad():
                module.weight.copy_(torch.rand(shape, generator=generator) * 0.5 + 0.75)
                module.bias.copy_(torch.randn(shape, generator=generator) * 0.1)
    torch.save(network.state_dict(), out / "facenet.pt")
    images = torch.rand((IMAGES, 3, 160, 160), generator=generator) * 2 - 1
    with torch.no_grad():
        outputs = torch.cat([network(image[None]) for image in images])
    images.numpy().tofile(out / "facenet.input.f32")
    outputs.numpy().tofile(out / "facenet.output.f32")
    parameters = sum(p.numel() for p in network.parameters())
    (out / "facenet.json").write_text(json.dumps({"images": IMAGES, "parameters": parameters}))
    print(parameters, "parameters", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
