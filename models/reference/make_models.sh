#!/usr/bin/env bash
# Makes what the parity tests of recognition networks compare with, once, and prints the folder it
# is in.
#
#   models/reference/make_models.sh [SHARED]
#
# SHARED, where it is given, is the folder with `models` and `data`: what onnxruntime and OpenVINO
# say of the networks there is made too. Everything comes from the Python package index, into two
# virtual environments beside the results: Keras 2.15, the last with locally connected layers, wants
# an older numpy than the rest, and a Python from 3.9 to 3.11. About 1.5 GB in all: the weights have
# their real sizes.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/facesearch/reference"
out="$cache/models"
mkdir -p "$out"
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=

# environment NAME PYTHON PACKAGE...: made once; a list of packages that changes makes it anew.
environment() {
    local venv="$cache/venv-$1" python="$2"
    shift 2
    if [ "$(cat "$venv/packages" 2>/dev/null)" != "$*" ]; then
        rm -rf "$venv"
        "$python" -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
        printf '%s' "$*" > "$venv/packages"
    fi
}

# made FILE SCRIPT: whether the script has run as it is now; `done` notes it.
made() { [ "$(cat "$out/$1.made" 2>/dev/null)" = "$(sha256sum < "$here/$2")" ]; }
note() { sha256sum < "$here/$2" > "$out/$1.made"; }

old_python() {
    local python
    for python in python3 python3.11 python3.10 python3.9; do
        if "$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 12))' 2>/dev/null
        then
            echo "$python"
            return
        fi
    done
    echo "Keras 2.15 needs a Python from 3.9 to 3.11; none was found" >&2
    exit 1
}

keras="$cache/venv-keras/bin"
graphs="$cache/venv-graphs/bin"
if ! made keras-small keras_reference.py || ! made deepface deepface_reference.py ||
    ! made deepid keras_models_reference.py || ! made arcface deepface_models_reference.py; then
    environment keras "$(old_python)" tensorflow-cpu==2.15.1 "numpy<2" requests
    "$keras/pip" install --quiet --disable-pip-version-check --no-deps deepface==0.0.103 >&2
    "$keras/python" "$here/keras_reference.py" "$out" >&2
    note keras-small keras_reference.py
    "$keras/python" "$here/deepface_reference.py" "$out" >&2
    note deepface deepface_reference.py
    "$keras/python" "$here/keras_models_reference.py" "$out" >&2
    note deepid keras_models_reference.py
    "$keras/python" "$here/deepface_models_reference.py" "$out" >&2
    note arcface deepface_models_reference.py
fi
if ! made sface sface_reference.py || ! made operators operator_reference.py ||
    { [ $# -gt 0 ] && ! made graphs graph_reference.py; }; then
    environment graphs python3 numpy pillow onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
    "$graphs/python" "$here/sface_reference.py" "$out" >&2
    note sface sface_reference.py
    "$graphs/python" "$here/operator_reference.py" "$out" >&2
    note operators operator_reference.py
    if [ $# -gt 0 ]; then
        "$graphs/python" "$here/graph_reference.py" "$1/models" "$1/data" "$out" >&2
        note graphs graph_reference.py
    fi
fi
echo "$out"
