"""The METADATA of wheels: from those that the store has, else from their index, by its digest (PEP 658, PEP 714)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from taskimage.adapters.http import Http
from taskimage.adapters.pypi.indexes import Index
from taskimage.adapters.pypi.simple import project_files
from taskimage.model.digest import Digest, verify
from taskimage.model.errors import TaskImageError
from taskimage.model.lock import WheelPin

__all__ = ["published_metadata", "stored_metadata"]

_LARGEST = 4 << 20


def stored_metadata(wheel: Path) -> bytes | None:
    """The METADATA of the file ``wheel``; None where it cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                folder, _, name = member.filename.partition("/")
                if folder.endswith(".dist-info") and name == "METADATA" and member.file_size <= _LARGEST:
                    return archive.read(member)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        pass
    return None


def published_metadata(http: Http, pins: Sequence[tuple[WheelPin, Index]]) -> dict[Digest, bytes]:
    """The METADATA of the wheels ``pins`` by their digests, as far as their indexes have it and answer."""
    found: dict[Digest, bytes] = {}

    def ask(item: tuple[WheelPin, Index]) -> None:
        pin, index = item
        try:
            for file in project_files(http, index, pin.name):
                if file.sha256 == pin.digest.hex and file.metadata_sha256 is not None:
                    url = f"{file.url}.metadata"
                    data = http.get(url, limit=_LARGEST, headers=index.login(url))
                    want = Digest.parse(f"sha256:{file.metadata_sha256}")
                    found[pin.digest] = verify(data, want, where=f"{pin.file}.metadata")
        except TaskImageError:
            return  # what it would tell is only for people

    http.each(ask, pins)
    return found
