#!/bin/bash
# The official image's rules: not as root; an environment name with a dot, or `processors`, is a setting. Security and
# performance analyser are plugins, which this image does not have: their switches are accepted and mean nothing.
set -euo pipefail

if [[ $(id -u) == 0 ]]; then
    echo "OpenSearch refuses to run as root; run it as user 1000" >&2
    exit 1
fi

settings=()
while IFS='=' read -r -d '' name value; do
    # The settings of absent plugins would be refused as unknown.
    if [[ $name =~ ^[a-z0-9_]+\.[a-z0-9_]+ || $name == processors ]] && [[ $name != plugins.* && -n $value ]]; then
        settings+=("-E${name}=${value}")
    fi
done < <(env --null)

if [[ $# -eq 0 || $1 == -* ]]; then
    set -- opensearch "$@"
fi
if [[ $1 == opensearch ]]; then
    shift
    exec opensearch "${settings[@]}" "$@"
fi
exec "$@"
