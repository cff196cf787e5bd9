# shellcheck shell=bash
# Shared functions of the scripts. Source it after `set -euo pipefail`; it changes to the project's root.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# say TEXT...: prints a line of progress.
say() { printf '==> %s\n' "$*"; }

# fail TEXT...: prints an error, which says what is wrong and what to do, and exits.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# as_root COMMAND...: runs COMMAND as root; never asks for a password.
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
    command -v apt-get >/dev/null || fail "this is not Debian. Install the equivalents of these Debian packages by hand: ${missing[*]}"
    say "installing from Debian: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}

# version_at_least VERSION MINIMUM: whether the dotted version VERSION is MINIMUM or newer.
version_at_least() {
    [[ $(printf '%s\n%s\n' "$2" "$1" | sort --version-sort | head -n 1) == "$2" ]]
}
