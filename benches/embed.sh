#!/usr/bin/env bash
# Embedding beside its peers, in one run of 9 minutes a round and what the memory takes; prints the
# tables of docs/benchmarks/embedding.md, pipeline.md and memory.md.
#
# usage: benches/embed.sh --python PYTHON --lfw DIR --photos DIR --onnx MobileFaceNet.onnx
#                         --yunet yunet_n_320_320.onnx [--deepface deepface.h5]
#                         [--tensorflow PYTHON] [--dir DIR] [--rounds R] [--parts a,b,...]
#                         [--under "COMMAND"] [--facesearch PROGRAM]
#
# PYTHON must have what benches/embed_peers.py names; DeepFace's rows need its weights, and
# TensorFlow's a Python that has it. DIR gets enlarged photos and an index, 2 GB. Each part is run
# under COMMAND, such as `nice -n -15`. YuNet's file is taken into the cache of models.
set -euo pipefail

python=python3 lfw= photos= onnx= yunet= deepface= tensorflow= dir=target/bench-embed rounds=3
under= facesearch=target/release/facesearch
parts=dlib,dlib-int16,onnx,onnx-int16,deepface,tensorflow,mtcnn
parts=$parts,lfw,lfw-int16,lfw-yunet,photos,photos-yunet,start,memory,layers
while [ $# -gt 0 ]; do
    case $1 in
        --python | --lfw | --photos | --onnx | --yunet | --deepface | --tensorflow | --dir \
            | --rounds | --parts | --under | --facesearch) declare "${1#--}=$2" ;;
        *) echo "no option $1" >&2 && exit 2 ;;
    esac
    shift 2
done
for needed in lfw photos onnx yunet; do
    if [ -z "${!needed}" ]; then echo "benches/embed.sh needs --$needed" >&2 && exit 2; fi
done
here=$(cd "$(dirname "$0")" && pwd)

# Word splitting is wanted: a command and its arguments.
# shellcheck disable=SC2086
run() { $under "$@"; }
peers=(--peers "$here/embed_peers.py" --python "$python")
embed() { run "$facesearch" bench embed --rounds "$rounds" "${peers[@]}" "$@"; }
pipeline() {
    run "$facesearch" bench pipeline "${peers[@]}" --yunet "$yunet" --onnx "$onnx" "$@"
}
same_networks=(--detector yunet --model "$onnx" --input 112 --normalise imagenet --without-dlib)
small=("$lfw" --photos 100 --rounds "$rounds")
large=("$photos" --larger-than 100000 --photos 40)

"$facesearch" models import "$yunet" >&2
"$facesearch" models pull >&2
# A part that cannot be measured takes no other with it, and is named at the end.
failed=()
for part in ${parts//,/ }; do
    echo
    echo "### $part"
    case $part in
        dlib | mtcnn) embed --work "$part" --photos "$photos" ;;
        dlib-int16) embed --work dlib --photos "$photos" --precision int16 ;;
        onnx) embed --work onnx --onnx "$onnx" ;;
        onnx-int16) embed --work onnx --onnx "$onnx" --precision int16 ;;
        deepface) [ -z "$deepface" ] || embed --work deepface --deepface "$deepface" ;;
        tensorflow)
            [ -z "$deepface" ] || [ -z "$tensorflow" ] ||
                run "$facesearch" bench embed --work deepface --deepface "$deepface" \
                    --batch 1,8,32 --rounds "$rounds" \
                    --peers "$here/deepface_tensorflow.py" --python "$tensorflow"
            ;;
        lfw) pipeline "${small[@]}" ;;
        lfw-int16) pipeline "${small[@]}" --precision int16 ;;
        lfw-yunet) pipeline "${small[@]}" "${same_networks[@]}" ;;
        photos) pipeline "${large[@]}" --rounds 1 ;;
        photos-yunet) pipeline "${large[@]}" --rounds "$rounds" "${same_networks[@]}" ;;
        start)
            run "$python" "$here/embed_process.py" start "$facesearch" \
                "$(find "$lfw" -name '*.jpg' | sort | head -n 1)"
            ;;
        memory)
            run "$python" "$here/embed_process.py" memory "$facesearch" "$photos" "$dir" \
                40 160 640
            ;;
        layers)
            run "$facesearch" bench layers --batch 8
            run "$facesearch" bench layers --batch 1 --onnx "$onnx"
            ;;
        *) echo "no part $part" >&2 && exit 2 ;;
    esac || failed+=("$part")
done
for part in ${failed[@]+"${failed[@]}"}; do echo "left out or incomplete: $part"; done
