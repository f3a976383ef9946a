"""Files that appear whole or not at all, outside of the store."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from taskimage.model.errors import CannotBuild, NotAllowed, NotFound, TaskImageError

__all__ = ["explained", "replacing"]


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write; at the end of the block it stands at ``path``, and after an error nothing is left.

    Raises NotFound (no such folder), NotAllowed, CannotBuild (no space).
    """
    # Beside the target, since a rename happens in one step on one file system only.
    with (
        explained(path),
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file,
    ):
        try:
            yield cast("BinaryIO", file)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            Path(file.name).rename(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the system while ``path`` is written come out as ours."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FAMILIES:
            raise
        family, hint = _FAMILIES[error.errno]
        raise family(f"cannot write {str(path)!r}: {error.strerror}", hint=hint) from error


_FAMILIES: dict[int | None, tuple[type[TaskImageError], str]] = {
    errno.ENOSPC: (CannotBuild, "free some space, or write to a larger disk"),
    errno.EDQUOT: (CannotBuild, "free some space, or write to a larger disk"),
    errno.ENOENT: (NotFound, "make the folder first"),
    errno.ENOTDIR: (NotFound, "name a folder that exists, and a file in it"),
    errno.EISDIR: (NotAllowed, "name a file, not a folder"),
    errno.EACCES: (NotAllowed, "name a place that you may write to"),
    errno.EPERM: (NotAllowed, "name a place that you may write to"),
    errno.EROFS: (NotAllowed, "name a place that you may write to"),
}
