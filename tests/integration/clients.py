# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that several tests use."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

HOST = "127.0.0.1"
TIMEOUT_S = 20


def s3(port: int, access_key: str, secret: str) -> Any:
    """An S3 client without retries."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{port}",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(
            retries={"max_attempts": 1},
            connect_timeout=TIMEOUT_S,
            read_timeout=TIMEOUT_S,
            s3={"addressing_style": "path"},
        ),
    )


def http_json(port: int, path: str, body: Any = None, method: str | None = None) -> Any:
    """The JSON response of a request: a POST if there is a body and no other method is named."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)
