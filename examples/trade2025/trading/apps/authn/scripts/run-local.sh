#!/usr/bin/env bash
# The same as run-local.ps1, from WSL. Arguments go to authn: scripts/run-local.sh --check-config
set -euo pipefail

export CONFIG_PATH=${CONFIG_PATH:-/mnt/c/trade2025/trading/config/authn/config.yaml}
export JWKS_PATH=${JWKS_PATH:-/mnt/c/trade2025/trading/secrets/jwks.json}
export CLIENTS_PATH=${CLIENTS_PATH:-/mnt/c/trade2025/trading/secrets/clients.json}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 -m authn "$@"
