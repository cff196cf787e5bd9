# Starts the core services and waits until all of them say that they are healthy.
#Requires -Version 5.1
param(
    [string]$Root = "C:\Trade2025\trading",
    [int]$TimeoutSeconds = 180
)
$ErrorActionPreference = 'Stop'

$networks = @(
    @{ Name = 'trade2025-frontend';   Subnet = '172.33.0.0/16' },
    @{ Name = 'trade2025-lowlatency'; Subnet = '172.32.0.0/16' },
    @{ Name = 'trade2025-backend';    Subnet = '172.31.0.0/16' }
)
foreach ($n in $networks) {
    if (-not (docker network ls --quiet --filter "name=^$($n.Name)$")) {
        docker network create --subnet $n.Subnet $n.Name | Out-Null
    }
}

foreach ($d in 'nats', 'valkey', 'questdb', 'clickhouse', 'seaweed', 'opensearch') {
    New-Item -ItemType Directory -Force -Path "$Root\$d" | Out-Null
}

docker compose --file 'C:\trade2025\docker-compose.core.yml' up --detach --wait --wait-timeout $TimeoutSeconds
Add-Content -Path "C:\trade2025\trading\logs\core.log" -Value "$(Get-Date -Format s) core up"

# the bot is started by its own task: C:\trade2025\tradingbot\start.ps1
