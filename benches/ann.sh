#!/usr/bin/env bash
# The search and its peers on one task, in one run; prints the tables of
# docs/benchmarks/search.md.
#
# usage: benches/ann.sh [--n N] [--dim D] [--like dlib|arcface|deepface] [--dir DIR] [--cache DIR]
# [--python PYTHON] [--peers a,b,...] [--rounds R] [--probes P] [--under "COMMAND"] [--again]
#
# DIR gets the made-up faces and the index, which are made anew; the cache keeps the peers' indexes,
# with what their builds took, for the next run. With --again DIR is taken as an earlier run left
# it. Sweeps are run under COMMAND, such as `nice -n -15`. PYTHON must have the peers' packages
# (benches/ann/requirements.txt); a peer whose package is missing is left out, and that is said.
set -euo pipefail

n=1000000 dim=128 like=dlib dir=target/bench-ann cache= python=python3 rounds=2 probes=3000
under= again=
peers=hnswlib,faiss-hnsw32,faiss-hnsw32-sq8,faiss-ivf-sq8,faiss-flat
peers=$peers,usearch-f32,usearch-f16,usearch-i8,scann,svs-f32,svs-f16,svs-sq8,annoy,nmslib
while [ $# -gt 0 ]; do
    case $1 in
        --n | --dim | --like | --dir | --cache | --python | --peers | --rounds | --probes \
            | --under) declare "${1#--}=$2" ;;
        --again) again=yes && shift && continue ;;
        *) echo "no option $1" >&2 && exit 2 ;;
    esac
    shift 2
done
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cache=${cache:-$dir/peers}

task=(--n "$n" --dim "$dim" --like "$like" --probes "$probes" --dir "$dir")
# Word splitting is wanted: a command and its arguments.
# shellcheck disable=SC2086
ours() { (cd "$here" && $2 cargo bench -q -p facesearch-ann --bench ann -- "$1" "${task[@]}"); }
# shellcheck disable=SC2086
peer() { $3 "$python" "$here/ann/peers.py" "$1" "$2" "$dir" "$dim" "$cache"; }

[ -n "$again" ] || ours make "" >&2
results=$dir/results.jsonl
: >"$results"
# A peer that cannot be built or asked takes no other with it, and is named at the end.
built=() failed=()
for peer in ${peers//,/ }; do
    if peer build "$peer" "" >&2; then built+=("$peer"); else failed+=("$peer (build)"); fi
done
for round in $(seq "$rounds"); do
    ours sweep "$under" | tee -a "$results" >&2
    for peer in ${built[@]+"${built[@]}"}; do
        peer sweep "$peer" "$under" 2>&1 | tee -a "$results" >&2 || failed+=("$peer (round $round)")
    done
done
"$python" "$here/ann/report.py" "$results" "$n"
for peer in ${failed[@]+"${failed[@]}"}; do echo "left out or incomplete: $peer"; done
