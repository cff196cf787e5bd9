# shellcheck shell=bash
# What the scripts share. Source it after `set -euo pipefail`; it changes into the project's root.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# say TEXT...: one line of progress.
say() { printf '==> %s\n' "$*"; }

# fail TEXT...: says what is wrong and what to do about it, and ends the script.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# as_root COMMAND...: runs it as root without ever asking for a password.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        fail "root is needed for: $*. Run make as root or with sudo."
    fi
}

# install_packages NAME...: installs the Debian packages among NAME that are missing.
install_packages() {
    local name missing=()
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || fail "this is not Debian; install by hand what Debian calls: ${missing[*]}"
    say "installing from Debian: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}

# version_at_least HAVE WANT: whether the dotted version HAVE is WANT or newer.
version_at_least() {
    [[ $(printf '%s\n%s\n' "$2" "$1" | sort --version-sort | head -n 1) == "$2" ]]
}
