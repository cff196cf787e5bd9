#!/bin/bash
# The official image's rules on the server of 2018: a user, a password and a first database by environment, scripts in
# /docker-entrypoint-initdb.d, root drops to 101:101. What it leaves out: access management and init scripts that run
# always, which this server does not know.
set -euo pipefail

config=${CLICKHOUSE_CONFIG:-/etc/clickhouse-server/config.xml}
config_dir=$(dirname "$config")
data_dir=/var/lib/clickhouse
uid=${CLICKHOUSE_UID:-101}
gid=${CLICKHOUSE_GID:-101}
run_as=()

if [[ $(id -u) == 0 && ${CLICKHOUSE_RUN_AS_ROOT:-0} != 1 ]]; then
    run_as=(setpriv "--reuid=$uid" "--regid=$gid" --clear-groups --)
    if [[ ${CLICKHOUSE_DO_NOT_CHOWN:-0} != 1 ]]; then
        mkdir -p "$data_dir" /var/log/clickhouse-server
        chown -R "$uid:$gid" "$data_dir" /var/log/clickhouse-server
    fi
fi

user=${CLICKHOUSE_USER:-default}
password=${CLICKHOUSE_PASSWORD:-}
if [[ -n ${CLICKHOUSE_PASSWORD_FILE:-} ]]; then
    if [[ ! -r $CLICKHOUSE_PASSWORD_FILE ]]; then
        echo "CLICKHOUSE_PASSWORD_FILE=$CLICKHOUSE_PASSWORD_FILE is not readable by user $(id -u)" >&2
        exit 1
    fi
    password=$(< "$CLICKHOUSE_PASSWORD_FILE")
fi

if [[ $user != default || -n $password ]]; then
    if [[ ! -w $config_dir/users.d ]]; then
        echo "$config_dir/users.d is not writable by user $(id -u): leave CLICKHOUSE_USER and CLICKHOUSE_PASSWORD" \
            "unset when the users are mounted, or mount a tmpfs there" >&2
        exit 1
    fi
    if [[ ! $user =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
        echo "CLICKHOUSE_USER=$user: write letters, digits and underscores" >&2
        exit 1
    fi
    # `default` goes where another user takes its place; the same user only gets its password.
    digest=$(printf '%s' "$password" | sha256sum | cut -d ' ' -f 1)
    {
        echo '<yandex><users>'
        echo "<${user} replace=\"replace\"><profile>default</profile><quota>default</quota>"
        echo "<networks><ip>::/0</ip></networks><password_sha256_hex>${digest}</password_sha256_hex></${user}>"
        [[ $user == default ]] || echo '<default remove="remove"></default>'
        echo '</users></yandex>'
    } > "$config_dir/users.d/default-user.xml"
fi

client=(clickhouse-client --multiquery --host 127.0.0.1 --user "$user")
[[ -z $password ]] || client+=(--password "$password")

initialise() {
    # Loopback only: nobody may see the server before its database and users are there.
    "${run_as[@]}" clickhouse-server --config-file="$config" -- --listen_host=127.0.0.1 &
    local server=$! tries=${CLICKHOUSE_INIT_TIMEOUT:-1000} file
    until wget --quiet --timeout 1 --tries 1 --output-document /dev/null http://127.0.0.1:8123/ping; do
        tries=$((tries - 1))
        if [[ $tries -le 0 ]] || ! kill -0 "$server" 2> /dev/null; then
            echo "the server did not start for its initialisation" >&2
            exit 1
        fi
        sleep 0.2
    done
    if [[ -n ${CLICKHOUSE_DB:-} ]]; then
        "${client[@]}" --query "CREATE DATABASE IF NOT EXISTS \`${CLICKHOUSE_DB}\`"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) "$file" ;;
            *.sql) "${client[@]}" < "$file" ;;
            *.sql.gz) gunzip --stdout "$file" | "${client[@]}" ;;
        esac
    done
    kill -TERM "$server"
    wait "$server" || true
}

# Only an empty data directory is initialised. A server that never ran has no folder `data`.
if [[ ! -d $data_dir/data ]]; then
    if [[ -n ${CLICKHOUSE_DB:-} ]] || compgen -G '/docker-entrypoint-initdb.d/*' > /dev/null; then
        initialise
    fi
fi

if [[ $# -eq 0 || $1 == -* ]]; then
    exec "${run_as[@]}" clickhouse-server --config-file="$config" "$@"
fi
exec "$@"
