#!/bin/sh
# The official image's rules: a configuration file or flags alone are the server's; root gives /data to valkey and
# drops to it; files are private unless the caller chose a mask.
set -e

case "${1:-}" in
    '' | -* | *.conf) set -- valkey-server "$@" ;;
esac

if [ "$1" = valkey-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . ! -user valkey -exec chown valkey '{}' +
        exec setpriv --reuid=valkey --regid=valkey --clear-groups -- "$0" "$@"
    fi
    if [ ! -w . ]; then
        echo "$(pwd) is not writable by user $(id -u): give the data directory to it" >&2
        exit 1
    fi
    # Upstream's image is compiled with protected mode off, Debian's package with it on. What a file says wins.
    case "${2:-}" in
        *.conf) grep -q '^[[:space:]]*protected-mode' "$2" || set -- "$@" --protected-mode no ;;
        *) shift && set -- valkey-server --protected-mode no "$@" ;;
    esac
fi

if [ "$(umask)" = 0022 ]; then
    umask 0077
fi
# Unquoted on purpose: the variable holds several words.
# shellcheck disable=SC2086
exec "$@" ${VALKEY_EXTRA_FLAGS:-}
