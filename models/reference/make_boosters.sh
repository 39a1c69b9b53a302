#!/usr/bin/env bash
# Makes a virtual environment with LightGBM, once, and prints its Python: what the tests of boosters
# want as `FACESEARCH_LIGHTGBM`.
#
#   models/reference/make_boosters.sh
set -euo pipefail
venv="${XDG_CACHE_HOME:-$HOME/.cache}/facesearch/reference/venv-boosters"
packages="lightgbm==4.7.0 numpy==2.4.6"
if [ "$(cat "$venv/packages" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $packages >&2
    printf '%s' "$packages" > "$venv/packages"
fi
echo "$venv/bin/python"
