#!/bin/bash
# The official image's rules. As root: own the data directory, then drop to QUESTDB_UID:QUESTDB_GID. Words that begin
# with a dash replace the whole Java command line, `/app/bin/java …` is taken as it is.
set -euo pipefail

data_dir=${QUESTDB_DATA_DIR:-/var/lib/questdb}
run_as=()

if [[ $(id -u) == 0 && ${RUN_AS_ROOT:-false} != true ]]; then
    uid=${QUESTDB_UID:-10001}
    gid=${QUESTDB_GID:-10001}
    if [[ ${DO_CHOWN:-true} == true ]]; then
        mkdir -p "$data_dir"
        find "$data_dir" \( ! -uid "$uid" -o ! -gid "$gid" \) -exec chown "$uid:$gid" '{}' +
    fi
    run_as=(setpriv "--reuid=$uid" "--regid=$gid" --clear-groups --)
fi

read -r -a jvm_prepend <<< "${JVM_PREPEND:-}"
java=(
    /app/bin/java
    "${jvm_prepend[@]}"
    -XX:+UseParallelGC
    -m io.questdb/io.questdb.ServerMain
    -d "$data_dir"
    -f
)

if [[ $# -eq 0 ]]; then
    set -- "${java[@]}"
elif [[ $1 == -* ]]; then
    set -- /app/bin/java "${jvm_prepend[@]}" "$@"
fi
exec "${run_as[@]}" "$@"
