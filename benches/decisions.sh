#!/usr/bin/env bash
# How decisions by the crowd do on people that the crowd was not fitted to.
#
#   benches/decisions.sh SHARED [MODEL]
#
# SHARED holds `data/lfw-view1` and `data/strangers`. The people of both are halved in the order of
# their names. A cohort is fitted to one half; the people of the other are enrolled with one photo
# each, asked about with their other photos, and strangers of both populations are asked about.
set -euo pipefail
cd "$(dirname "$0")/.."
shared="$(realpath "$1")"
model="${2:-dlib}"
facesearch="${FACESEARCH:-target/release/facesearch}"
[ -x "$facesearch" ] || cargo build --release --bin facesearch
work="${WORK:-$(mktemp -d)}"

# Links to every second entry of a folder, from the first or the second on.
half() {
    mkdir -p "$3"
    find "$1" -mindepth 1 -maxdepth 1 | LC_ALL=C sort | awk "NR % 2 == $2" |
        while read -r entry; do ln -sfn "$entry" "$3/$(basename "$entry")"; done
}
for number in 0 1; do
    half "$shared/data/lfw-view1/images" "$number" "$work/lfw$number"
    half "$shared/data/strangers" "$number" "$work/strangers$number"
done
index=(index --model "$model" --follow-links --quiet)
# 5: some photos have no usable content, which is no reason to stop.
"$facesearch" "${index[@]}" "$work/lfw0" --identity folder --index "$work/lfw.index" || [ $? = 5 ]
"$facesearch" "${index[@]}" "$work/strangers0" --identity none --index "$work/strangers.index" ||
    [ $? = 5 ]
"$facesearch" models cohort "$work/lfw.index" "$work/strangers.index" --out "$work/half.cohort"
"$facesearch" eval identify "$work/lfw1" --model "$model" --unknown 0.25 \
    --sizes 5,20,100,1000,1200 --strangers "$work/strangers1" --cohort "$work/half.cohort"
