"""Where packages are that no mirror has any more: an archive by date, or one by digest."""

from __future__ import annotations

from string import Formatter
from urllib.parse import quote, urlsplit

from taskimage.adapters.http import redacted
from taskimage.model.errors import BadInput
from taskimage.model.lock import DebPin
from taskimage.model.value import dataclass

__all__ = ["Snapshot"]

_PLACES = frozenset(("archive", "path", "sha256"))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An address with places for what is looked for.

    ``{archive}`` stands for the alias of the package's archive, ``{path}`` for its path below the archive's root, and
    ``{sha256}`` for its digest in hexadecimal. With neither of the latter two the path follows at the end.
    """

    address: str

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """The snapshot that a setting names. Raises BadInput for what is no address, and for other places."""
        try:
            places = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        except ValueError:
            places = {text}
        parts = urlsplit(text)
        if not places <= _PLACES or parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(
                f"not a snapshot of Debian's archives: {redacted(text)!r}; wanted a URL that starts with http:// or "
                "https://, with {archive}, {path} and {sha256} for what is looked for",
                hint="look at TASKIMAGE_DEBIAN_SNAPSHOT or debian_snapshot in config.toml",
            )
        return cls(text if places & {"path", "sha256"} else text.rstrip("/") + "/{path}")

    def of(self, pin: DebPin) -> str:
        """Where the file of ``pin`` is, if it is there."""
        return self.address.format(archive=pin.archive, path=quote(pin.path), sha256=pin.digest.hex)
