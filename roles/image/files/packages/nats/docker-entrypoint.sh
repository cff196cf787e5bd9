#!/bin/sh
# Flags alone are the server's; a first word is a command of its own.
set -e
case "${1:-}" in
    '' | -*) set -- nats-server "$@" ;;
esac
exec "$@"
