# shellcheck shell=bash
# What .ci/run and .ci/long share: steps with their times, and the packages that the steps need. Sourced, from the
# repository's root.

export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
# One profile for everything: tests, programs, lints and documentation share one build of the dependencies. With the
# checks of a debug build, so that an overflow or a broken assertion still ends a test.
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
# Line tables double what the linker reads and writes; a backtrace has the functions' names without them.
export CARGO_PROFILE_RELEASE_DEBUG=0
[ -z "${CARGO_TARGET_DIR:-}" ] || { echo "unset CARGO_TARGET_DIR: the steps look for programs in target/" >&2; exit 2; }

logs=$PWD/target/ci
tools=$PWD/target/ci/tools
mkdir -p "$logs"
export PATH="$tools/bin:$PATH"

sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo

# ---- steps ----

rows=()
ci_began=$SECONDS
declare -A beside_pid=()

# Seconds of processor time of all that this shell has waited for: cutime and cstime of proc(5), in hundredths.
cpu_seconds() { awk '{ sub(/.*[)] /, ""); print int(($14 + $15) / 100) }' "/proc/$$/stat"; }

# step NAME COMMAND...: runs it and notes its time. If it fails, everything ends.
step() {
    local name=$1 began=$SECONDS cpu code
    shift
    cpu=$(cpu_seconds)
    printf '\n==== %s (minute %d)\n' "$name" $(((SECONDS - ci_began) / 60))
    # Not as a condition: inside of one, bash would ignore what fails in the middle of a function.
    set +e
    (
        set -e
        "$@"
    )
    code=$?
    set -e
    note "$name" "$began" "$SECONDS" "$(($(cpu_seconds) - cpu))" "$code"
    [ "$code" -eq 0 ] || exit "$code"
}

# beside NAME COMMAND...: runs it while other steps do, for what mostly waits; `await NAME` takes its result.
beside() {
    local name=$1
    shift
    # What an earlier run left says nothing of this one.
    rm -f "$logs/$name.ended"
    # A process group of its own, so that all of it can be ended.
    set -m
    (
        began=$SECONDS code=0
        set +e
        (
            set -e
            "$@"
        ) >"$logs/$name.log" 2>&1
        code=$?
        echo "$began $SECONDS $code" >"$logs/$name.ended"
    ) &
    beside_pid[$name]=$!
    set +m
}

await() { # NAME
    local name=$1 began ended code cpu
    cpu=$(cpu_seconds)
    wait "${beside_pid[$name]}" || true
    unset "beside_pid[$name]"
    # Killed before it could say how it ended.
    read -r began ended code <"$logs/$name.ended" || { began=$SECONDS ended=$SECONDS code=1; }
    printf '\n==== %s, which ran beside the steps above\n' "$name"
    tail -n 60 "$logs/$name.log"
    note "$name (beside)" "$began" "$ended" "$(($(cpu_seconds) - cpu))" "$code"
    [ "$code" -eq 0 ] || exit "$code"
}

note() { # NAME BEGAN ENDED CPU CODE
    local result=passed
    [ "$5" -eq 0 ] || result="failed ($5)"
    rows+=("$(printf '%-52s %5d:%02d %6d:%02d  %s' "$1" $((($3 - $2) / 60)) $((($3 - $2) % 60)) $(($4 / 60)) $(($4 % 60)) "$result")")
}

# Printed however it ends; `cpu` is of all processors together.
table() {
    local code=$? pid row
    for pid in "${beside_pid[@]}"; do
        kill -- "-$pid" 2>/dev/null || true
    done
    printf '\n%-52s %8s %9s\n' step time cpu
    for row in "${rows[@]}"; do printf '%s\n' "$row"; done
    printf '%-52s %5d:%02d\n' all $(((SECONDS - ci_began) / 60)) $(((SECONDS - ci_began) % 60))
    return "$code"
}
trap table EXIT

# ---- packages ----

# packages NAME...: Debian's packages, those that are missing, in one go.
packages() {
    local p missing=()
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    $sudo apt-get -q update
    DEBIAN_FRONTEND=noninteractive $sudo apt-get -q -y --no-install-recommends install "${missing[@]}"
}

# The emulated Pi needs QEMU 9 or later, which Debian 12 has in its backports: from the mirror that this machine's own
# sources name.
qemu() {
    command -v qemu-system-aarch64 >/dev/null && command -v qemu-storage-daemon >/dev/null && return 0
    # shellcheck disable=SC2016
    targets() { apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages'; }
    local from=() mirror key=/usr/share/keyrings/debian-archive-keyring.gpg package
    $sudo apt-get -q update
    if targets | grep -q ' bookworm main$'; then
        from=(-t bookworm-backports)
        if ! targets | grep -q ' bookworm-backports main$'; then
            mirror=$(targets | awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
            echo "deb [signed-by=$key] $mirror bookworm-backports main" |
                $sudo tee /etc/apt/sources.list.d/bookworm-backports.list
            $sudo apt-get -q update
        fi
    fi
    DEBIAN_FRONTEND=noninteractive $sudo apt-get -q -y --no-install-recommends "${from[@]}" install qemu-system-arm qemu-utils
    # In qemu-utils since Debian 13, in qemu-system-common before.
    for package in qemu-utils qemu-system-common; do
        command -v qemu-storage-daemon >/dev/null && break
        DEBIAN_FRONTEND=noninteractive $sudo apt-get -q -y --no-install-recommends install "$package"
    done
}

# Programs that would take minutes to compile, from wheels, into a folder of our own. Versions are fixed: what they find
# must not change without a commit.
wheels() { # NAME==VERSION...
    [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"
    "$tools/bin/pip" -q --disable-pip-version-check install "$@"
}

# ---- what both do ----

# The device's packages, built as they are shipped: without the simulated Pi and the checks of a debug build.
device_packages() {
    local package=(env -u CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS -u CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS
        target/release/bistable-package)
    rm -rf "$logs/arm64" "$logs"/bistable_*.deb
    "${package[@]}" --arch arm64 --tree "$logs/arm64"
    # What systemd is tried with is the package's files; the program in it is a stand-in.
    "${package[@]}" --arch amd64 --program target/release/bistable --out "$logs"
}
