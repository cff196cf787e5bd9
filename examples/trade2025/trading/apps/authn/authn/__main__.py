# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: `python -m authn` serves; `--help` lists the rest."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import uvicorn

from authn import __version__, clients, config, keys
from authn.app import Issuer, create
from authn.errors import ConfigurationError
from authn.log import FIELDS, set_up

# For requests under way at SIGTERM; `docker stop` waits 10 s before it kills.
GRACE_S = 5
# With more requests, a client gets 503 instead of waiting forever.
MOST_CONNECTIONS = 512

EXIT_CONFIGURATION = 2

_T = TypeVar("_T")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0, or 2 when the configuration or the input is at fault."""
    options = _parser().parse_args(arguments)
    try:
        if options.new_keys:
            print(keys.generate())
            return 0
        if options.hash_secret:
            print(_hash(sys.stdin.read()))
            return 0
        issuer = load(os.environ)
    except ConfigurationError as error:
        print(f"authn: faults in the configuration: {len(error.problems)}", file=sys.stderr)
        print(*(f"  {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        return EXIT_CONFIGURATION
    if options.check_config:
        print(f"authn: the configuration is good; {len(issuer.config.clients)} clients, {len(issuer.keys.keys)} keys")
        return 0
    serve(issuer)
    return 0


def load(environment: Mapping[str, str]) -> Issuer:
    """Read the three files that the environment names.

    Raises:
        ConfigurationError: with the problems of all three.
    """
    problems: list[str] = []

    def read(name: str, default: str, loader: Callable[[Path], _T]) -> _T | None:
        try:
            return loader(Path(environment.get(name) or default))
        except ConfigurationError as error:
            problems.extend(error.problems)
            return None

    configuration = read("CONFIG_PATH", "/app/config/config.yaml", config.load)
    key_set = read("JWKS_PATH", "/secrets/jwks.json", keys.load)
    client_ids = configuration.clients if configuration else {}
    hashes = read("CLIENTS_PATH", "/secrets/clients.json", lambda path: clients.load(path, client_ids))
    if configuration is None or key_set is None or hashes is None:
        raise ConfigurationError(problems)
    return Issuer(configuration, key_set, hashes)


def serve(issuer: Issuer) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    set_up(issuer.config.name, issuer.config.log_level)
    # uvicorn stops on these itself and then sends them again to whoever handled them before. As process 1 that would be
    # nobody, elsewhere the process would be said to have been killed: so that a stop is exit code 0 everywhere.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    fields = {
        "version": __version__,
        "bind": issuer.config.bind,
        "port": issuer.config.port,
        "issuer": issuer.config.issuer,
        "clients": list(issuer.config.clients),
        "signing_key": issuer.keys.signing_key_id,
    }
    logging.getLogger("authn").info("start", extra={FIELDS: fields})
    uvicorn.run(
        create(issuer),
        host=issuer.config.bind,
        port=issuer.config.port,
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    logging.getLogger("authn").info("stop")


def _hash(text: str) -> str:
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret or "\n" in secret:
        raise ConfigurationError(["standard input: wants one line, the secret"])
    return str(clients.SecretHash.of(secret))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m authn",
        description="Issue OAuth 2.0 access tokens to services.",
        epilog="Files: CONFIG_PATH, JWKS_PATH and CLIENTS_PATH in the environment name them.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check-config", action="store_true", help="check the three files, exit 0 or 2, do not serve")
    what.add_argument("--new-keys", action="store_true", help="print a new private JWK set")
    what.add_argument("--hash-secret", action="store_true", help="print the hash of the secret on standard input")
    return parser


if __name__ == "__main__":
    sys.exit(main())
