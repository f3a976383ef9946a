"""Members of tar archives by strangers, for `tarfile` to make: no header of theirs is read into memory that is absurd."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BoundedMember"]

# Extended attributes are the longest headers, of 64 KiB each.
_LONGEST = 1 << 20
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


class BoundedMember(tarfile.TarInfo):
    """A member whose extended header has a bounded size (pax, "pax Header Block"); else tarfile.ReadError."""

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        # What subclasses may override, as tarfile says itself, and all that it reads comes by here: of every version.
        if self.type in _EXTENDED and self.size > _LONGEST:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        member: Self = super()._proc_member(archive)  # type: ignore[misc] # typeshed does not have it
        return member
