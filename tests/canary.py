"""A password that is looked for in everything that stays."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from tests.sources import CANARY

__all__ = ["SECRETS", "everything_below"]

# Plain, quoted, in part, and as the header has it.
SECRETS = tuple(
    text.encode()
    for text in (CANARY, quote(CANARY, safe=""), "s3cr3t", base64.b64encode(f"me:{CANARY}".encode()).decode())
)


def everything_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each file with its name and bytes; what is compressed (layers, caches) unpacked as well."""
    for path in folder.rglob("*"):
        yield str(path), str(path).encode()
        if path.is_file():
            data = path.read_bytes()
            yield str(path), data
            if data.startswith(b"\x1f\x8b"):
                yield f"{path}, unpacked", gzip.decompress(data)
