#!/bin/sh
# The official image's rules: root gives /data to seaweed and drops to it; each subcommand gets its defaults, which
# the caller's own words, coming later, override.
set -e

if [ "$(id -u)" = 0 ]; then
    if [ "$(stat -c %u /data)" != 1000 ]; then
        chown -R 1000:1000 /data || echo "/data could not be given to user 1000" >&2
    fi
    exec setpriv --reuid=1000 --regid=1000 --clear-groups -- "$0" "$@"
fi

command=${1:-mini}
[ $# -eq 0 ] || shift
case "$command" in
    master) set -- -mdir=/data -volumeSizeLimitMB=1024 "$@" ;;
    volume) set -- -dir=/data -max=0 "$@" ;;
    server) set -- -dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024 "$@" ;;
    mini) set -- -dir=/data "$@" ;;
    s3)
        set -- ${S3_DOMAIN_NAME:+"-domainName=$S3_DOMAIN_NAME"} ${S3_KEY_FILE:+"-key.file=$S3_KEY_FILE"} \
            ${S3_CERT_FILE:+"-cert.file=$S3_CERT_FILE"} "$@"
        ;;
esac
exec /usr/bin/weed -logtostderr=true "$command" "$@"
