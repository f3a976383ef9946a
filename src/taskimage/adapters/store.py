"""The store: a content-addressed folder that many processes share.

    home/
      oci/               an OCI image layout: layers, configs, manifests, index.json
      indexes/debian/    signed indexes of suites, and their lists of packages, ready to be asked
      inputs/sha256/     what was fetched: wheels, .debs, interpreters
      records/KIND/      small JSON records, by key: layers, images, resolutions, specs, addresses, receipts
      bytecode/          what was compiled of each wheel; interpreters/ has what compiled it
      roots/             unpacked images, for running
      uv/                uv's own cache
      tmp/               where everything is written before it is renamed into place

Every write goes to a temporary file on the same file system, is flushed, and is renamed: a process that is
killed leaves nothing that looks whole and is not. What something else relies on is on the disk before; a record
need not be, since one that a power cut spoils cannot be read, and is as good as none.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, IntegrityError, NotAllowed, TaskImageError
from taskimage.model.oci import canonical_json

__all__ = ["Pending", "Store"]


_UNFINISHED: set[Path] = set()


@atexit.register
def _remove_unfinished() -> None:
    """Remove what threads still write that nobody waits for: a server may let them hang for long."""
    for path in tuple(_UNFINISHED):
        with contextlib.suppress(OSError):
            path.unlink()


class Pending:
    """A file on its way into the store: hashed while it is written, in place only when its block has ended well."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self.path = path
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append ``data``."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest("sha256", self._hash.hexdigest())

    def restart(self) -> None:
        """Forget what was written so far."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def flush(self, *, to_disk: bool) -> None:
        """Everything written is there for other processes, and ``to_disk`` for another boot."""
        self._file.flush()
        if to_disk:
            os.fsync(self._file.fileno())


class Store:
    """The store at ``home``, made when it is first written to. ``layout``: an image layout elsewhere, to read."""

    def __init__(self, home: Path, *, layout: Path | None = None) -> None:
        self.home = home
        self.layout = layout or home / "oci"

    # -- content ---------------------------------------------------------------------------------------

    def input_path(self, digest: Digest) -> Path:
        """Where the fetched file of ``digest`` is, or would be."""
        return self.home / "inputs" / digest.algorithm / digest.hex

    def blob_path(self, digest: Digest) -> Path:
        """Where the blob of ``digest`` is, or would be, in the image layout."""
        return self.layout / "blobs" / digest.algorithm / digest.hex

    @contextlib.contextmanager
    def pending_input(self, want: Digest, size: int | None, *, where: str) -> Iterator[Pending]:
        """Write a fetched file; at the end of the block it is in place, or IntegrityError tells what came."""
        with self._pending() as pending:
            yield pending
            if pending.digest != want or (size is not None and pending.size != size):
                raise IntegrityError(
                    f"got {pending.size} bytes with digest {pending.digest}, "
                    f"wanted {'some' if size is None else size} bytes with digest {want}",
                    where=where,
                    hint="find out why the file has changed before it is locked again",
                )
            self._rename(pending, self.input_path(want))

    @contextlib.contextmanager
    def pending_blob(self) -> Iterator[Pending]:
        """Write a blob whose digest is known at the end; at the end of the block it is in place."""
        with self._pending() as pending:
            yield pending
            self._rename(pending, self.blob_path(pending.digest))

    def put_blob(self, data: bytes) -> Digest:
        """Keep ``data`` as a blob of the image layout."""
        digest = Digest.of(data)
        if not self.blob_path(digest).exists():
            with self.pending_blob() as pending:
                pending.write(data)
        return digest

    def read_blob(self, digest: Digest) -> bytes:
        """The bytes of a small blob, checked."""
        from taskimage.model.digest import verify

        path = self.blob_path(digest)
        return verify(path.read_bytes(), digest, where=str(path))

    # -- records ---------------------------------------------------------------------------------------

    def record(self, kind: str, key: Digest) -> Mapping[str, Any] | None:
        """The record of ``kind`` that was kept for ``key``; None when there is none that can be read."""
        try:
            with self.explained():
                return cast("Mapping[str, Any]", json.loads(self._record_path(kind, key).read_bytes()))
        except (FileNotFoundError, ValueError):
            return None

    def keep_record(self, kind: str, key: Digest, record: Mapping[str, Any]) -> None:
        """Keep ``record`` for ``key``."""
        with self._pending() as pending:
            pending.write(canonical_json(record))
            self._rename(pending, self._record_path(kind, key), durable=False)

    def _record_path(self, kind: str, key: Digest) -> Path:
        return self.home / "records" / kind / f"{key.hex}.json"

    # -- names -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock ``name`` of this store against other processes and threads."""
        path = self.home / "tmp" / f"{name}.lock"
        self._make(path.parent)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write_file(self, path: Path, data: bytes, *, private: bool = False, durable: bool = True) -> None:
        """Put ``data`` at ``path``, which lies in the store, in one step.

        What is ``private`` nobody else reads; what is not ``durable`` may be spoilt by a power cut.
        """
        with self._pending() as pending:
            pending.write(data)
            self._rename(pending, path, mode=0o600 if private else 0o644, durable=durable)

    def move_in(self, made: Path, path: Path) -> None:
        """Put the file ``made``, from a `temporary_directory`, at ``path``, which lies in the store, in one step."""
        self._make(path.parent)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.chmod(0o644)
        made.rename(path)

    def temporary_directory(self) -> tempfile.TemporaryDirectory[str]:
        """A folder on the store's file system that is removed when it is closed."""
        self._make(self.home / "tmp")
        return tempfile.TemporaryDirectory(dir=self.home / "tmp", ignore_cleanup_errors=True)

    # -- writing ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _pending(self) -> Iterator[Pending]:
        tmp = self.home / "tmp"
        self._make(tmp)
        path: Path | None = None
        try:
            with self.explained(), tempfile.NamedTemporaryFile(dir=tmp, delete=False) as file:
                path = Path(file.name)
                _UNFINISHED.add(path)
                yield Pending(cast("BinaryIO", file), path)
        finally:
            if path is not None:
                path.unlink(missing_ok=True)
                _UNFINISHED.discard(path)

    def _rename(self, pending: Pending, target: Path, *, mode: int = 0o644, durable: bool = True) -> None:
        self._make(target.parent)
        pending.flush(to_disk=durable)
        pending.path.chmod(mode)
        pending.path.rename(target)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._explained(error) or self._unusable(error) from error

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """In the block, an OSError that comes of the store's disk or its permissions says what to do."""
        try:
            yield
        except OSError as error:
            if explained := self._explained(error):
                raise explained from error
            raise

    def _explained(self, error: OSError) -> TaskImageError | None:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return CannotBuild(
                f"no space left while writing to the store at {str(self.home)!r}",
                hint="free some space, or set TASKIMAGE_HOME to a folder on a larger disk",
            )
        if error.errno == errno.EFBIG:
            return CannotBuild(
                f"a file of the store at {str(self.home)!r} would be larger than this process may write",
                hint="raise the limit (ulimit -f)",
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            return self._unusable(error)
        return None

    def _unusable(self, error: OSError) -> NotAllowed:
        return NotAllowed(
            f"cannot use the store at {str(self.home)!r}: {error.strerror}",
            hint="set TASKIMAGE_HOME to a folder that you may write to",
        )
