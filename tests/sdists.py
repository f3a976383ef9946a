"""Source distributions for tests, made in code."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

__all__ = ["make_sdist"]


def make_sdist(name: str, version: str, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """File name and bytes of an sdist with ``files``, by their paths below its folder (PyPA, source distribution format)."""
    stem = f"{name}-{version}"
    facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, data in {"PKG-INFO": facts, **files}.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return f"{stem}.tar.gz", gzip.compress(out.getvalue(), mtime=0)
