#!/bin/bash
# What updates of the pair cost: every body of every HTTP response of one `bistable update` is counted, beside xdelta3 and
# `zstd --patch-from` on the same raw images. Prints Markdown.
#
#   make.sh DIR; measure.sh DIR WORKDIR [LEVEL]
#
# `bistable` and `bistable-image` come from PATH. WORKDIR needs 30 GB.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1764547200
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: measure.sh DIR WORKDIR [LEVEL]" >&2; exit 2; }
pair=$(cd "$1" && pwd)
level=${3:-19}
mkdir -p "$2"
cd "$2"
export BISTABLE_CHANNEL_KEY=$PWD/channel.key BISTABLE_ROOT=$PWD/root.root BISTABLE_STATE_DIR=$PWD/state

if [ ! -f root.root ]; then
    for name in root release channel; do bistable-image key new --out $name; done
    bistable-image root new --out root.root --root-key root.pub --release-key release.pub --channel-key channel.pub --sign root.key --yes-weak
fi >/dev/null

mkdir -p tiny
echo arm_64bit=1 >tiny/config.txt

bundle() { # NAME VERSION SYSTEM BOOT [OPTION...]
    local name=$1 version=$2 system=$3 boot=$4
    shift 4
    [ -f "$name.bundle" ] || bistable-image build --progress quiet --product pair --version "$version" --board pi4 --key release.key \
        --out "$name.bundle" --system "$system" --boot "$boot" "$@" >"$name.log" 2>&1 || { cat "$name.log" >&2; exit 1; }
}

card() { # NAME: a card that holds the release
    [ -f "$1.card" ] || bistable-image card --progress quiet --no-agent --bundle "$1.bundle" --out "$1.card" >/dev/null
}

raw() { # NAME: the raw system volume, from a card that holds the release
    [ -f "$1.raw" ] && return
    card "$1"
    local start size
    read -r start size < <(sfdisk --json "$1.card" | python3 -c 'import json, sys
for p in json.load(sys.stdin)["partitiontable"]["partitions"]:
    if p["name"] == "system_a": print(p["start"], p["size"])')
    dd if="$1.card" of="$1.raw" bs=1M iflag=skip_bytes,count_bytes skip=$((start * 512)) count=$((size * 512)) conv=sparse status=none
}

bytes() { stat -c %s "$1"; }

# One update over HTTP from a repository with the delta; prints the bytes of all bodies.
fetched() { # OLD NEW
    local repo="$1-$2.repo" folder="$1-$2.$level"
    rm -rf "$repo" device.card device.card.sim state count port
    if [ ! -d "$folder" ]; then
        mkdir -p "$folder.part"
        bistable-image delta --progress quiet --from "$1.bundle" "$2.bundle" --key release.key --level "$level" -o "$folder.part" >/dev/null
        mv "$folder.part" "$folder"
    fi
    bistable-image repo init --repo "$repo" --root root.root >/dev/null
    bistable-image publish --progress quiet "$1.bundle" --repo "$repo" --channel stable >/dev/null
    bistable-image publish --progress quiet "$2.bundle" "$folder"/*.delta --repo "$repo" --channel stable >/dev/null
    card "$1"
    cp --sparse=always "$1.card" device.card
    python3 "$here/serve.py" "$repo" port count &
    local server=$!
    while [ ! -s port ]; do sleep 0.1; done
    BISTABLE_CARD=device.card bistable update --channel stable --source "http://127.0.0.1:$(cat port)" >update.log 2>&1 || { cat update.log >&2; exit 1; }
    kill $server
    BISTABLE_CARD=device.card bistable resume >>update.log 2>&1 || true
    grep -q "at rest: slot B runs" update.log || { cat update.log >&2; exit 1; }
    cut -d ' ' -f 1 count
    rm -rf "$repo" device.card device.card.sim
}

mb() { python3 -c "print(f'{$1 / 1e6:.2f}')"; }

row() { # TITLE OLD NEW [raw]
    local ours xdelta=- zstd=- full
    full=$(tar -tvf "$3.bundle" | awk '{ s += $3 } END { print s }')
    ours=$(fetched "$2" "$3")
    if [ "${4:-}" = raw ]; then
        raw "$2"
        raw "$3"
        xdelta3 -e -f -s "$2.raw" "$3.raw" x.delta
        xdelta=$(mb "$(bytes x.delta)")
        zstd -q -f -12 --long=30 --patch-from "$2.raw" "$3.raw" -o x.delta
        zstd=$(mb "$(bytes x.delta)")
    fi
    rm -f x.delta
    echo "| $1 | $(mb "$full") | $(mb "$ours") | $xdelta | $zstd |"
}

size=$((1 << 30))
for n in 1 2 3 4 5; do bundle "ext4-$n" "$n.0.0" "$pair/v$n/system" tiny --root-owner --system-size $size; done
echo "| update | whole release | fetched | xdelta3 | zstd --patch-from |"
echo "|---|---|---|---|---|"
row "v1 → v2, system volume, ext4 of 1 GiB" ext4-1 ext4-2 raw
row "v1 → v3: another git-lfs and Django" ext4-1 ext4-3 raw
row "v1 → v4: 300,000 bytes more in a program" ext4-1 ext4-4 raw
row "v1 → v5: one new file of 5,000 bytes" ext4-1 ext4-5 raw
for n in 1 2; do bundle "slot-$n" "$n.0.0" "$pair/v$n/bare" "$pair/v$n/boot" --root-owner --system-size $size; done
row "v1 → v2, whole slot, compressed boot volume" slot-1 slot-2
for n in 1 2; do bundle "plain-$n" "$n.0.0" "$pair/v$n/bare" "$pair/v$n/boot" --root-owner --system-size $size --plain-boot; done
row "v1 → v2, whole slot, \`--plain-boot\`" plain-1 plain-2
for n in 1 2; do
    [ -f "$n.erofs" ] || mkfs.erofs -T$SOURCE_DATE_EPOCH --all-root -U 00000000-0000-0000-0000-000000000001 "$n.erofs" "$pair/v$n/system" >/dev/null
    [ -f "$n.squashfs" ] || mksquashfs "$pair/v$n/system" "$n.squashfs" -comp zstd -Xcompression-level 6 -all-root -quiet -no-progress >/dev/null
    for kind in erofs squashfs; do bundle "$kind-$n" "$n.0.0" "$n.$kind" tiny; done
done
row "v1 → v2, EROFS without compression" erofs-1 erofs-2
row "v1 → v2, squashfs, zstd" squashfs-1 squashfs-2
