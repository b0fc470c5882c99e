#!/bin/sh
# Runs every fuzz target for some time each, two at a time, and fails if one of them crashes.
#
#   run.sh [SECONDS [TARGET...]]      60 seconds and all targets by default
#   run.sh build                      only builds them
#
# Works with stable Rust: the sanitizer is off (the code under test has no unsafe), and RUSTC_BOOTSTRAP=1 allows the
# one unstable flag that the coverage needs. A crash is kept in artifacts/<target>/, and what was learnt in corpus/.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
jobs=2
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

export RUSTC_BOOTSTRAP=1
# The plain libFuzzer build: no sanitizer, so no nightly standard library is needed either.
fuzz() { verb=$1; shift; cargo fuzz "$verb" --fuzz-dir . --sanitizer none "$@"; }

# `archive` and `compose` run by their names only: they have not run for long yet.
targets=${*:-$(ls fuzz_targets | sed -n 's/\.rs$//p' | grep -vx -e archive -e compose)}
fuzz build
[ "$seconds" != build ] || exit 0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

one() {
    mkdir -p "corpus/$1"
    seeds=
    [ ! -d "seeds/$1" ] || seeds="seeds/$1"
    if fuzz run "$1" "corpus/$1" $seeds -- -max_total_time="$seconds" -max_len=16384 -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 >"$logs/$1" 2>&1
    then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$1")
        rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$logs/$1")
        echo "fuzz $1: $runs runs, $rate per second, no crash"
    else
        tail -n 40 "$logs/$1" >&2
        echo "fuzz $1: FAILED; the input is in tests/fuzz/artifacts/$1" >&2
        touch "$logs/failed"
    fi
}

running=0
for target in $targets; do
    one "$target" &
    running=$((running + 1))
    if [ "$running" -ge "$jobs" ]; then
        wait
        running=0
    fi
done
wait
[ ! -e "$logs/failed" ]
