# What all scripts that build a Debian arm64 system here share; sourced by them. They set: here, suite, arch.
#
# Works as root and as an ordinary user. Maintainer scripts are arm64 programs, so the kernel must hand them to QEMU:
#   - if arm64 programs run here already, nothing is set up;
#   - else an ordinary user gets a user namespace (mmdebstrap's "unshare" mode) and, in it, a binfmt_misc of its own:
#     Linux 6.7 and later allow that, and nothing outside the namespace sees it;
#   - root gets a private mount of binfmt_misc, which is gone with the build.
# There is no fallback that skips the scripts: without them there are no accounts, no capabilities, no enabled units
# and no initramfs, so the result would not be the real system that this is for.
# Hooks are texts for another shell; the callers use what is set here.
# shellcheck shell=bash disable=SC2016,SC2034,SC2154

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# One line "deb ..." per suite that is named, from the machine's own sources as apt itself reads them.
sources() { # SUITE...
    local suites=" $* " found=" " uri name component file key options
    while IFS='|' read -r uri name component file; do
        case "$suites" in *" $name "*) ;; *) continue ;; esac
        [ "$component" = main ] || continue
        case "$found" in *" $name "*) continue ;; esac
        # apt does not report Signed-By: the first key file that the same source file names.
        key=$(sed -nE 's/.*[Ss]igned-[Bb]y[:=][[:space:]]*(\/[^] ]+).*/\1/p' "${file%:*}" | head -n 1)
        options="arch=$arch${key:+ signed-by=$key}"
        printf 'deb [%s] %s %s main\n' "$options" "$uri" "$name"
        found="$found$name "
    done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)' 'Created-By: Packages')
    for name in $suites; do
        case "$found" in *" $name "*) ;; *)
            die "this machine's apt sources do not name the suite $name (main); add it to /etc/apt/sources.list.d" ;;
        esac
    done
}

# Proxy, certificate and retry settings of this machine: mmdebstrap's apt does not read its configuration.
apt_options() {
    apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::(https?|Retries|ForceIPv[46])\b' | grep -v '::User-Agent' || true
}

# Runs in the namespace of the build, before anything is unpacked.
setup_hook='
    set -e
    arch-test arm64 >/dev/null 2>&1 && exit 0
    binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
    [ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
    arch-test arm64 >/dev/null
'

# Root runs everything in a mount namespace, so that a binfmt_misc mounted by the hook vanishes with the build.
enter_namespace() {
    [ "$(id -u)" -eq 0 ] && [ -z "${GREENHOUSE_NAMESPACE:-}" ] || return 0
    if unshare --mount true 2>/dev/null; then
        GREENHOUSE_NAMESPACE=1 exec unshare --mount "$0" "$@"
    fi
}

choose_mode() {
    for tool in mmdebstrap arch-test; do
        command -v $tool >/dev/null || die "$tool is missing; run $here/setup.sh as root"
    done
    if [ "$(id -u)" -eq 0 ]; then
        mode=root
    elif unshare --user --map-root-user --map-auto true 2>/dev/null; then
        mode=unshare
    else
        die "no user namespace for $(id -un): it needs newuidmap (package uidmap), a range in /etc/subuid and /etc/subgid," \
            "and a kernel that allows user namespaces; or run this as root"
    fi
    # Tried in a throwaway namespace here, so that the reason is clear before a long build fails in a hook.
    local try=(sh -c "$setup_hook" hook /)
    [ $mode = root ] || try=(unshare --user --map-root-user --map-auto --mount "${try[@]}")
    "${try[@]}" || die "arm64 programs can't run here: install qemu-user-static; as an ordinary user that needs Linux 6.7" \
        "or later, or a machine on which binfmt_misc is set up (systemd-binfmt); as root it needs the right to mount binfmt_misc"
}
