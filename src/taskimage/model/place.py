"""Places of images, as people write them: a registry, an image layout in a folder, an archive of ``docker save``.

    REFERENCE                   host/path:tag, host/path@sha256:…
    oci:DIR[:NAME]              an image layout (image-spec, image-layout.md); NAME is what its index calls the image
    oci:DIR@sha256:…            the image of this digest in it
    docker-archive:FILE[:NAME]  a tar file; NAME is the repository:tag of the image in it, or repository for latest

DIR and FILE end at the first colon, as skopeo has it, so NAME may be any reference.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeAlias

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.reference import Reference
from taskimage.model.shown import shown
from taskimage.model.value import dataclass

__all__ = ["ArchivePlace", "LayoutPlace", "Place", "parse_place"]

_WANTED: Final = "oci:DIR[:NAME] or docker-archive:FILE[:NAME]"
# What other programs copy from and to by such names. None of these is an image's name that anybody uses.
_OTHERS: Final = re.compile(
    r"(docker|https?)://|(containers-storage|dir|docker-daemon|oci-archive|ostree|sif|tarball):"
)
_PINNED: Final = re.compile(r"@((?:sha256|sha384|sha512):[^:/]*)\Z")


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """An image in a layout; without name and digest the only one."""

    folder: Path
    name: str | None = None
    digest: Digest | None = None

    @property
    def holds_many(self) -> bool:
        """Whether other images can be written to it too."""
        return self.name is None

    def __str__(self) -> str:
        version = f"@{self.digest}" if self.digest else f":{self.name}" if self.name else ""
        return f"oci:{self.folder}{version}"


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """An image in an archive; without a name the only one."""

    file: Path
    name: str | None = None

    @property
    def holds_many(self) -> bool:
        """Whether other images can be written to it too."""
        return False

    def __str__(self) -> str:
        return f"docker-archive:{self.file}" + (f":{self.name}" if self.name else "")


Place: TypeAlias = Reference | LayoutPlace | ArchivePlace


def parse_place(text: str) -> Place:
    """The place that ``text`` writes. Raises BadInput.

    >>> parse_place("oci:out:team/app:v1")
    LayoutPlace(folder=PosixPath('out'), name='team/app:v1', digest=None)
    """
    kind, _, rest = text.partition(":")
    if kind not in ("oci", "docker-archive"):
        if match := _OTHERS.match(text):
            raise BadInput(
                f"not a place that images are copied from or to: {shown(text)}; wanted a reference, {_WANTED}",
                hint="write the reference alone, as host/path:tag" if match[1] else None,
            )
        return Reference.parse(text)
    pinned = _PINNED.search(rest) if kind == "oci" else None
    path, _, name = (rest[: pinned.start()] if pinned else rest).partition(":")
    if not path or (pinned and name):
        raise BadInput(f"not a place of an image: {shown(text)}; wanted {_WANTED}, or oci:DIR@sha256:…")
    if kind == "oci":
        return LayoutPlace(Path(path), name or None, Digest.parse(pinned[1]) if pinned else None)
    if name and Reference.parse(name).tag is None:
        name += ":latest"
    return ArchivePlace(Path(path), name or None)
