#!/usr/bin/env bash
# A real S3 for tests: Ceph's object gateway with one monitor and one OSD in memory, on loopback, all in one directory.
#
#   ceph.sh start DIR   installs Debian's packages where they are missing (root), starts it, makes the bucket `bistable`,
#                       and prints the AWS_* environment to be sourced; about 15 s, 100 s with the installation
#   ceph.sh stop DIR    stops what was started there and removes DIR
#
# Objects live in the OSD's memory (2 GiB at most): nothing outlives `stop`. Ports: PORT for S3 (7480) and the one before
# it for the monitor.
set -Eeuo pipefail

usage() {
    echo "usage: $0 start DIR | stop DIR" >&2
    exit 2
}
[ $# -eq 2 ] || usage
verb=$1
dir=$2
port=${PORT:-7480}

stop() {
    local file pid
    for file in "$dir"/radosgw.pid "$dir"/osd.pid "$dir"/mon.pid; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        # Only what runs with this directory's configuration.
        grep -qzF "$dir/ceph.conf" "/proc/$pid/cmdline" 2>/dev/null || continue
        kill "$pid"
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}

install_ceph() {
    local packages=(ceph-common ceph-mon ceph-osd radosgw curl uuid-runtime) missing=() p
    for p in "${packages[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
    done
    [ "${#missing[@]}" -eq 0 ] && return
    {
        apt-get -q update
        DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}"
    } >&2
}

failed() {
    tail -n 20 "$dir/log" >&2
    stop
    exit 1
}

# The programs talk much and let go of their terminal: all they say is in DIR/log.
quietly() { "$@" >>"$dir/log" 2>&1; }

start() {
    local fsid osd access secret host=127.0.0.1
    [ -e "$dir/ceph.conf" ] && { echo "$dir is in use: stop it first" >&2; exit 1; }
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    fsid=$(uuidgen)
    osd=$(uuidgen)
    access=bistable
    secret=$(uuidgen)
    cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = v2:$host:$((port - 1))/0
auth cluster required = none
auth service required = none
auth client required = none
keyring = $dir/keyring
run dir = $dir
pid file = $dir/\$type.pid
log file = $dir/\$type.log
admin socket = $dir/\$type.asok
crash dir = $dir
mon data = $dir/mon
mon initial members = a
mon data avail crit = 1
mon allow pool size one = true
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
ms bind ipv4 = true
ms mon client mode = crc
public network = $host/32
cluster network = $host/32
rgw frontends = beast endpoint=$host:$port
rgw data = $dir/rgw
rgw enable usage log = false
rgw gc obj min wait = 3600
[client.rgw.a]
pid file = $dir/radosgw.pid
CONF
    local conf=(-c "$dir/ceph.conf")
    mkdir -p "$dir/mon" "$dir/osd" "$dir/rgw"

    # Nobody asks for a key, but without a file of them the gateway doesn't start.
    quietly ceph-authtool --create-keyring "$dir/keyring" --gen-key -n client.rgw.a
    quietly monmaptool --create --fsid "$fsid" --addv a "[v2:$host:$((port - 1))]" "$dir/monmap"
    quietly ceph-mon "${conf[@]}" --mkfs -i a --monmap "$dir/monmap"
    quietly ceph-mon "${conf[@]}" -i a
    quietly timeout 60 ceph "${conf[@]}" osd new "$osd"
    quietly ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$osd"
    quietly ceph-osd "${conf[@]}" -i 0
    quietly timeout 60 ceph "${conf[@]}" osd crush add osd.0 1.0 root=default host=node
    quietly timeout 60 radosgw "${conf[@]}" -n client.rgw.a
    quietly timeout 60 radosgw-admin "${conf[@]}" user create --uid=bistable --display-name=bistable \
        --access-key="$access" --secret="$secret"
    for _ in $(seq 300); do
        curl -sf -o /dev/null "http://$host:$port/" && break
        sleep 0.1
    done
    # Older curls sign the digest of the empty body but don't send it.
    curl -sS --fail-with-body --aws-sigv4 "aws:amz:us-east-1:s3" --user "$access:$secret" \
        -H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d' ' -f1)" -X PUT "http://$host:$port/bistable" >>"$dir/log"
    cat <<ENV
export AWS_ACCESS_KEY_ID=$access
export AWS_SECRET_ACCESS_KEY=$secret
export AWS_ENDPOINT=http://$host:$port
export AWS_REGION=us-east-1
export BISTABLE_TEST_S3=s3://bistable
ENV
}

case $verb in
start)
    install_ceph
    trap failed ERR
    start
    ;;
stop) dir=$(cd "$dir" && pwd) && stop ;;
*) usage ;;
esac
