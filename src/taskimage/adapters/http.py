"""HTTP for package sources: pooled, bounded, patient, and believed only by digest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotAllowed, NotFound, TaskImageError, Unreachable

if TYPE_CHECKING:
    import urllib3

__all__ = ["Fetch", "Http", "redacted"]

_CHUNK = 1 << 18
_CONNECTIONS = 8
_PATIENCE = (0.2, 1.0, 3.0)


def redacted(url: str) -> str:
    """``url`` without the credentials, query and fragment that it may carry."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class Fetch:
    """One file to fetch: the same bytes are at each of ``urls``, tried in order."""

    urls: tuple[str, ...]
    digest: Digest
    size: int | None
    label: str
    headers: Mapping[str, str] | None = None


class Http:
    """A client over one pool of connections. ``moved`` hears how many bytes came."""

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        import urllib3

        return urllib3.PoolManager(
            maxsize=_CONNECTIONS, timeout=urllib3.Timeout(connect=10, read=60), retries=False
        )

    def get(self, url: str, *, limit: int, headers: Mapping[str, str] | None = None) -> bytes:
        """The body at ``url``, of at most ``limit`` bytes.

        Raises NotFound (404, 410), NotAllowed (401, 403), Unreachable (all else, after some patience).
        """
        parts: list[bytes] = []
        self._patiently(url, headers, limit, parts.append, parts.clear)
        return b"".join(parts)

    def fetch(self, store: Store, wanted: Iterable[Fetch], *, moved: Callable[[int], None]) -> None:
        """Every wanted file is in the store's inputs, several at a time; what is there is left alone."""
        missing = {item.digest: item for item in wanted if not store.input_path(item.digest).exists()}
        ordered = sorted(missing.values(), key=lambda item: -(item.size or 0))
        with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="fetch") as pool:
            futures = [pool.submit(self._fetch_one, store, item, moved) for item in ordered]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetch_one(self, store: Store, item: Fetch, moved: Callable[[int], None]) -> None:
        failure: TaskImageError | None = None
        for url in item.urls:
            try:
                with store.pending_input(item.digest, item.size, where=redacted(url)) as pending:

                    def write(data: bytes) -> None:
                        pending.write(data)  # noqa: B023 - used up within this turn of the loop
                        moved(len(data))

                    self._patiently(url, item.headers, item.size, write, pending.restart)
            except TaskImageError as error:
                failure = failure or error
            else:
                return
        raise failure or Unreachable(f"no address is known for {item.label}")

    def _patiently(
        self,
        url: str,
        headers: Mapping[str, str] | None,
        limit: int | None,
        write: Callable[[bytes], object],
        restart: Callable[[], object],
    ) -> None:
        for pause in (*_PATIENCE, None):
            try:
                self._once(url, headers, limit, write)
            except Unreachable:
                if pause is None:
                    raise
                restart()
                time.sleep(pause)
            else:
                return

    def _once(
        self, url: str, headers: Mapping[str, str] | None, limit: int | None, write: Callable[[bytes], object]
    ) -> None:
        import urllib3

        shown = redacted(url)
        try:
            with self._pool.request(
                "GET", url, headers=dict(headers or {}), preload_content=False, redirect=True, retries=5
            ) as response:
                self._judge(shown, response.status)
                size = 0
                for chunk in response.stream(_CHUNK, decode_content=True):
                    size += len(chunk)
                    if limit is not None and size > limit:
                        raise IntegrityError(f"more than the {limit} bytes that were expected", where=shown)
                    write(chunk)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"cannot fetch {shown}: {type(error).__name__}") from error

    @staticmethod
    def _judge(shown: str, status: int) -> None:
        if status in (404, 410):
            raise NotFound(f"{shown} is not there (HTTP {status})")
        if status in (401, 403):
            raise NotAllowed(f"{shown} may not be read (HTTP {status})")
        if status != 200:
            raise Unreachable(f"{shown} answered HTTP {status}")
