#!/usr/bin/env bash
# Nightly backup of data that cannot be recreated. Run from Git Bash: /c/trade2025/trading/scripts/backup.sh
set -euo pipefail

SOURCE=${SOURCE:-/c/trade2025/trading}
TARGET=${TARGET:-/d/backup/$(date +%F)}

mkdir -p "$TARGET"
for part in config secrets valkey nats; do
    tar -czf "$TARGET/$part.tar.gz" -C "$SOURCE" "$part"
done

# a fresh AOF first, valkey is asked over its network
docker run --rm --network trade2025-backend valkey/valkey:8-alpine valkey-cli -h valkey BGREWRITEAOF
docker run --rm --network=trade2025-lowlatency -v //c/trade2025/trading/nats:/data:ro nats:2.10-alpine ls /data
docker run --rm -v C:/trade2025/trading/seaweed/:/data:ro -v "C:\trade2025\trading\logs":/logs alpine du -s /data
