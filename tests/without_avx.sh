#!/usr/bin/env bash
# Shows that the program runs, slower but right, on a CPU without AVX.
#
#   tests/without_avx.sh FACESEARCH PHOTO PHOTO
#
# FACESEARCH is a built binary, the photos show a face each; FACESEARCH_MODELS may say where the
# model files are. Needs `qemu-x86_64` (package qemu-user): its CPU `qemu64` ends at SSE3, so that
# any wider instruction ends the program. The distance between the photos must be that of the
# portable kernels on this CPU to the last digit, and within 1e-4 that of the best kernels.
set -euo pipefail
binary="$1" a="$2" b="$3"
verify=(--offline verify --json "$a" "$b")
# Exit code 1 says "not the same person", which is an answer too.
distance() { { "$@" || [ $? = 1 ]; } | sed 's/.*"distance":\([0-9.]*\).*/\1/'; }
best="$(distance "$binary" "${verify[@]}")"
portable="$(FACESEARCH_KERNELS=portable distance "$binary" "${verify[@]}")"
without="$(distance qemu-x86_64 -cpu qemu64 "$binary" "${verify[@]}")"
echo "distance $best, portable $portable, without AVX $without"
[ -n "$without" ] && [ "$without" = "$portable" ]
awk -v a="$best" -v b="$without" 'BEGIN { d = a - b; exit !(d < 1e-4 && d > -1e-4) }'
