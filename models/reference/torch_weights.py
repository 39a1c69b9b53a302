"""Sums and first values of the arrays in PyTorch files, as PyTorch itself reads them.

Usage: python torch_weights.py FILE... > crates/facesearch-nn/src/weights/torch/golden.json
Needs: torch. The files are those that the tests find by name under FACESEARCH_SHARED/models.
"""

import json
import sys

import torch


def flatten(value, name=""):
    """Arrays by dotted name; whatever is no array is passed over."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else key)


def describe(tensor):
    wide = tensor.detach().double().flatten()
    return {
        "shape": list(tensor.shape),
        "sum": wide.sum().item(),
        "absolute": wide.abs().sum().item(),
        "first": wide[0].item() if len(wide) else None,
        "last": wide[-1].item() if len(wide) else None,
    }


def main():
    golden = {}
    for path in sys.argv[1:]:
        state = torch.load(path, map_location="cpu", weights_only=True)
        name = "/".join(path.split("/")[-2:])
        golden[name] = {key: describe(tensor) for key, tensor in sorted(flatten(state))}
    json.dump(golden, sys.stdout, sort_keys=True)
    print()


main()
