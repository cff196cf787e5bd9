# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes of SeaweedFS: master, volume servers, filer, and S3 with a real client."""

from __future__ import annotations

import contextlib
import io
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ansible.module_utils.probes import web
from ansible.module_utils.probes.base import Kind, Probe, ProbeError, Target, creating, removing, unreachable

if TYPE_CHECKING:
    from minio import Minio


@dataclass(frozen=True, kw_only=True)
class Cluster(Probe):
    """The masters have a leader."""

    TYPE: ClassVar[str] = "seaweedfs_cluster"
    port: str = "master"

    def run(self, target: Target) -> str:
        """Ask /cluster/status."""
        state = web.ask(target, self.port, "/cluster/status").expect(200).mapping()
        leader = state.get("Leader")
        if not leader:
            raise ProbeError("the masters have no leader")
        return f"the leader is {leader}"


@dataclass(frozen=True, kw_only=True)
class Volumes(Probe):
    """There is a volume server with room for another volume."""

    TYPE: ClassVar[str] = "seaweedfs_volumes"
    port: str = "master"

    def run(self, target: Target) -> str:
        """Ask /dir/status."""
        topology: dict[str, Any] = web.ask(target, self.port, "/dir/status").expect(200).mapping().get("Topology") or {}
        nodes = [
            node
            for center in topology.get("DataCenters") or []
            for rack in center.get("Racks") or []
            for node in rack.get("DataNodes") or []
        ]
        if not nodes:
            raise ProbeError("the master knows no volume server")
        if (free := int(topology.get("Free") or 0)) <= 0:
            raise ProbeError(f"no volume server has room: {topology.get('Max')} volumes, none free")
        return f"{len(nodes)} volume server{'s' if len(nodes) > 1 else ''}, room for {free} volumes"


@dataclass(frozen=True, kw_only=True)
class Filer(Probe):
    """The filer reads its store."""

    TYPE: ClassVar[str] = "seaweedfs_filer"
    port: str = "filer"

    def run(self, target: Target) -> str:
        """List / as JSON, one entry."""
        answer = web.ask(target, self.port, "/?limit=1", headers={"Accept": "application/json"}).expect(200)
        if "Path" not in answer.mapping():
            raise ProbeError(f"{answer.what} does not list a directory: {answer.excerpt}")
        return "the filer lists /"


@dataclass(frozen=True, kw_only=True)
class S3(Probe):
    """An object is written, read and removed with the key; a wrong secret, an unknown key and no key are rejected.

    Without `bucket`, a temporary bucket is created and removed.
    """

    TYPE: ClassVar[str] = "seaweedfs_s3"
    WRITES: ClassVar[bool] = True
    LIBRARY: ClassVar[tuple[str, str] | None] = ("minio", "minio")
    REQUESTS: ClassVar[int] = 8
    port: str = "s3"
    access_key: str
    secret_file: str
    bucket: str = ""

    def run(self, target: Target) -> str:
        """Put, get, send three requests that must be rejected, delete."""
        client = self.client(target, self.access_key, target.secret(self.secret_file))
        if self.bucket:
            self._object(target, client, self.bucket)
        else:
            bucket, limit_s = target.unique(), 2 * target.timeout_s
            with removing(f"the bucket {bucket}", _quietly(lambda: client.remove_bucket(bucket)), "remove it", limit_s):
                with creating(), self._telling(target):
                    self._make_bucket(client, bucket)
                self._object(target, client, bucket)
        return "an object was written, read and removed; wrong keys and no key are refused"

    def _object(self, target: Target, client: Minio, bucket: str) -> None:
        name, content = target.unique(), secrets.token_bytes(64)
        place = f"{bucket}/{name}"
        remove = _quietly(lambda: client.remove_object(bucket, name))
        with removing(f"the object {place}", remove, "remove it", target.timeout_s), self._telling(target):
            client.put_object(bucket, name, io.BytesIO(content), len(content))
            if self._read(client, bucket, name) != content:
                raise ProbeError(f"the object {place} does not read back as it was written")
            for who, key, secret in (
                ("a wrong secret", self.access_key, secrets.token_hex(16)),
                ("an unknown key", target.unique(), secrets.token_hex(16)),
                ("no key", "", ""),
            ):
                self._must_refuse(self.client(target, key, secret), bucket, name, who)

    @contextlib.contextmanager
    def _telling(self, target: Target) -> Iterator[None]:
        """Turn the library's errors into ProbeError."""
        from minio.error import MinioException, S3Error
        from urllib3.exceptions import HTTPError

        what = f"S3 on {target.address}:{target.port(self.port)}"
        try:
            yield
        except S3Error as error:
            kind = Kind.AUTH if _refused(error) else Kind.ANSWER
            raise ProbeError(f"{what} answers {error.code}: {error.message}", kind) from error
        except MinioException as error:
            raise ProbeError(f"{what}: {error}") from error
        except HTTPError as error:
            raise unreachable(what, error, target.timeout_s) from error

    def _must_refuse(self, client: Minio, bucket: str, name: str, who: str) -> None:
        from minio.error import S3Error

        try:
            self._read(client, bucket, name)
        except S3Error as error:
            if _refused(error):
                return
            raise
        raise ProbeError(f"{who} reads an object: S3 is open to everybody who can reach it", Kind.UNEXPECTED_ACCESS)

    def client(self, target: Target, key: str, secret: str) -> Minio:
        """An S3 client that uses a key, or is anonymous without one."""
        import urllib3
        from minio import Minio

        timeout = urllib3.Timeout(connect=target.timeout_s, read=target.timeout_s)
        address = f"[{target.address}]" if ":" in target.address else target.address
        return Minio(
            f"{address}:{target.port(self.port)}", key or None, secret or None, secure=False,
            # Set, so that the client does not request the bucket's region.
            region="us-east-1",
            http_client=urllib3.PoolManager(timeout=timeout, retries=False),
        )  # fmt: skip

    @staticmethod
    def _make_bucket(client: Minio, bucket: str) -> None:
        from minio.error import S3Error

        try:
            client.make_bucket(bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                raise

    @staticmethod
    def _read(client: Minio, bucket: str, name: str) -> bytes:
        response = client.get_object(bucket, name)
        try:
            return response.read()
        finally:
            response.close()


def _refused(error: Any) -> bool:
    status = getattr(getattr(error, "response", None), "status", 0)
    return status in (401, 403) or error.code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")


def _quietly(remove: Callable[[], None]) -> Callable[[], None]:
    """Run `remove`; an object or bucket that does not exist counts as removed."""

    def removed() -> None:
        from minio.error import S3Error

        try:
            remove()
        except S3Error as error:
            if error.code not in ("NoSuchBucket", "NoSuchKey"):
                raise

    return removed


PROBES: tuple[type[Probe], ...] = (Cluster, Volumes, Filer, S3)
