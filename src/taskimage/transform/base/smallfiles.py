"""Files of a base that are read whole into memory, under a bound."""

from __future__ import annotations

from taskimage.model.errors import IntegrityError
from taskimage.transform.base.layers import BaseTree

__all__ = ["SmallFiles"]

# The largest status of dpkg is near 5 MB; the METADATA of a thousand distributions near 20.
_BUDGET = 64 << 20


class SmallFiles:
    """Whole files of ``tree``, links followed, of no more than 64 MiB together."""

    def __init__(self, tree: BaseTree) -> None:
        self.tree = tree
        self._left = _BUDGET

    def read(self, path: str) -> bytes | None:
        """The bytes of the file at ``path``, None when there is none. Raises IntegrityError beyond the bound."""
        entry = self.tree.file(path)
        if entry is None or entry.body is None:
            return None
        self._left -= entry.size
        if self._left < 0:
            raise IntegrityError(
                f"its file {path!r:.200} has {entry.size} bytes, more than such files have",
                where="base image",
            )
        with entry.body.open() as stream:
            return stream.read()

    def text(self, path: str) -> str | None:
        """The text of the file at ``path``, with U+FFFD for what is not UTF-8; None when there is none."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "replace")
