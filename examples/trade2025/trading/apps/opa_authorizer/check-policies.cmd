@echo off
rem Checks and tests the live policies with the version of OPA that runs.
setlocal
set POLICIES=C:\trade2025\trading\config\opa
set IMAGE=localhost/opa:latest

docker run --rm --network none -v "%POLICIES%:/app/policies:ro" %IMAGE% check --strict /app/policies || exit /b 1
docker run --rm --network none -v "%POLICIES%:/app/policies:ro" %IMAGE% test /app/policies || exit /b 1

rem the running server is asked over the network of the gateway
docker run --rm --network trade2025-frontend %IMAGE% eval "http.send({`method`: `get`, `url`: `http://opa:8181/health`}).status_code"
