#!/usr/bin/env bash
# Makes what the parity tests compare with, once, and prints the folder it is in.
#
#   models/reference/make.sh SHARED MODELS
#
# SHARED is the folder with `data/photos`, MODELS the one with dlib's two files (`facesearch models
# path`). The packages go into a virtual environment of their own, beside the results.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/facesearch/reference"
out="$cache/dlib"
if [ ! -e "$out/dlib.json" ]; then
    mkdir -p "$cache"
    python3 -m venv "$cache/venv" >&2
    "$cache/venv/bin/pip" install --quiet dlib-bin==20.0.1.post1 numpy pillow >&2
    rm -rf "$out.new"
    "$cache/venv/bin/python" "$here/dlib_reference.py" "$1/data/photos" "$2" "$out.new" >&2
    rm -rf "$out"
    mv "$out.new" "$out"
fi
echo "$out"
