"""Wheels of 250 MB each, served by a package index on loopback: an image of any size."""

from __future__ import annotations

import hashlib
import mmap
import random
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import yaml
from tests.archives import metadata, record
from tests.sources import Index

__all__ = ["BigWheels", "big_wheels"]

_MEMBERS, _MEMBER = 5, 50_000_000


class BigWheels:
    """The spec that wants them all, and what is fetched for it."""

    def __init__(self, folder: Path, count: int, index: Index) -> None:
        self.spec = folder / "image.yaml"
        self.layout = folder
        self.fetched: list[dict[str, Any]] = []
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self._index = index
        names = [f"big{number:02}" for number in range(count)]
        for number, name in enumerate(names):
            self._add(name, random.Random(number))
        spec = {
            "name": "big", "python_version": "3.11", "packages": [f"{name}==1.0" for name in names],
            "pip_index": index.url, "builder_options": {"taskimage": {"runtime": "none"}},
        }  # fmt: skip
        self.spec.write_text(yaml.safe_dump(spec), "utf-8")

    def _add(self, name: str, chance: random.Random) -> None:
        file, about, made = f"{name}-1.0-py3-none-any.whl", metadata(name, "1.0").encode(), self._blobs / name
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
            members = {
                **{f"{name}/{number}.bin": chance.randbytes(_MEMBER) for number in range(_MEMBERS)},
                f"{name}-1.0.dist-info/METADATA": about,
                f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            }
            members[f"{name}-1.0.dist-info/RECORD"] = record(members, f"{name}-1.0.dist-info")
            for path, data in members.items():
                archive.writestr(path, data)
        with made.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        sha256 = hashlib.sha256(mapped).hexdigest()
        made.rename(self._blobs / sha256)
        # What the index does with bytes can be done with a file that is mapped, too.
        self._index.files |= {file: cast("bytes", mapped), f"{file}.metadata": about}
        self.fetched.append(
            {
                "url": self._index.url.replace("/simple", f"/files/{file}"),
                "sha256": sha256,
                "size": len(mapped),
            }
        )


@contextmanager
def big_wheels(folder: Path, gigabytes: float) -> Iterator[BigWheels]:
    """So many of them that the image has about that size."""
    with ExitStack() as stack:
        index = Index()
        stack.callback(index.close)
        yield BigWheels(folder, max(1, round(gigabytes * 1e9 / _MEMBER / _MEMBERS)), index)
