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

# debian_mirror: prints the URL of this machine's Debian mirror, whatever the file and format of its configuration.
debian_mirror() {
    # shellcheck disable=SC2016 # the fields are apt's, not the shell's
    apt-get indextargets --format '$(CREATED_BY) $(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)' |
        awk '$1 == "Packages" && $2 == "Debian" && $3 == "Debian" && $4 == "main" {print $5; exit}'
}

# use_debian RELEASE FOLDER: makes apt-get use RELEASE from now on, with its state in FOLDER and this machine's mirror and keyring.
# apt then considers no package as installed, and the machine's own apt never uses RELEASE.
use_debian() {
    local address keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    install_packages debian-archive-keyring
    address=$(debian_mirror)
    if [[ -z $address ]]; then
        as_root apt-get update -qq
        address=$(debian_mirror)
    fi
    [[ -n $address ]] || fail "no Debian mirror is configured on this machine. Add one to /etc/apt/sources.list.d."
    mkdir -p "$2"/lists/partial "$2"/cache/archives/partial
    : >"$2/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$address" "$1" >"$2/sources.list"
    cat >"$2/apt.conf" <<CONF
Dir::Etc::sourcelist "$2/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$2/lists";
Dir::State::status "$2/status";
Dir::Cache "$2/cache";
# The lists belong to the current user; apt's own user could not write to them.
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
Acquire::Languages "none";
CONF
    export APT_CONFIG=$2/apt.conf
    apt-get update -qq
}
