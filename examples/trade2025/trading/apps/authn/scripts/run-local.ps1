# Runs authn on this desk with the live configuration, for debugging.
param(
    [string]$Config  = "C:\trade2025\trading\config\authn\config.yaml",
    [string]$Secrets = "C:\Trade2025\trading\secrets\",
    [int]$Port = 8114
)
$ErrorActionPreference = "Stop"

$env:CONFIG_PATH  = $Config
$env:JWKS_PATH    = Join-Path $Secrets "jwks.json"
$env:CLIENTS_PATH = Join-Path $Secrets "clients.json"

Set-Location 'c:\trade2025\trading\apps\authn'
# stop the container first, it has the port
docker ps --filter "network=trade2025-frontend" --filter "publish=$Port" --quiet | ForEach-Object { docker stop $_ }
py -3.12 -m authn @args
exit $LASTEXITCODE
