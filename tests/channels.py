"""Conda channels made in code: packages of both formats, and the lists by which solvers know them."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from tests.archives import member, tar_of

from taskimage.model.digest import Digest
from taskimage.model.lock import CondaPin

__all__ = ["PLACEHOLDER", "Channel", "CondaFile", "conda_of", "make_conda", "pin_of", "python_files"]

PLACEHOLDER = "/placeholder/" + "x" * 200


@dataclass(frozen=True)
class CondaFile:
    """A file of a package; one with a ``mode`` (text or binary) has the placeholder in it."""

    data: bytes = b""
    mode: str = ""
    executable: bool = False
    link: str = ""
    placeholder: str = PLACEHOLDER

    def row(self, path: str) -> dict[str, Any]:
        """How paths.json has it."""
        row: dict[str, Any] = {
            "_path": path,
            "path_type": "softlink" if self.link else "hardlink",
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "size_in_bytes": len(self.data),
        }
        return row | ({"file_mode": self.mode, "prefix_placeholder": self.placeholder} if self.mode else {})

    def info(self, path: str) -> tuple[tarfile.TarInfo, bytes]:
        """Its member of a tar."""
        found, data = member(path, self.data, mode=0o755 if self.executable else 0o644)
        if self.link:
            found.type, found.linkname = tarfile.SYMTYPE, self.link
        return found, data


def make_conda(
    files: Mapping[str, CondaFile],
    *,
    name: str,
    version: str = "1.0",
    build: str = "0",
    noarch: str = "",
    depends: Sequence[str] = (),
    entry_points: Sequence[str] = (),
    suffix: str = ".conda",
    documents: Mapping[str, Any] | None = None,
) -> bytes:
    """A package; ``documents`` stand in for those that its other arguments make."""
    index = {
        "name": name, "version": version, "build": build, "build_number": 0, "depends": list(depends),
        "subdir": "noarch" if noarch else "linux-64", **({"noarch": noarch} if noarch else {}),
    }  # fmt: skip
    found: dict[str, Any] = {
        "info/index.json": index,
        "info/paths.json": {"paths_version": 1, "paths": [file.row(path) for path, file in files.items()]},
    }
    if entry_points:
        found["info/link.json"] = {"noarch": {"type": "python", "entry_points": list(entry_points)}}
    info = [
        member(path, json.dumps(document).encode())
        for path, document in (found | dict(documents or {})).items()
        if document is not None
    ]
    members = [file.info(path) for path, file in files.items()]
    if suffix == ".tar.bz2":
        return bz2.compress(tar_of([*info, *members]))
    return conda_of(f"{name}-{version}-{build}", info=tar_of(info), pkg=tar_of(members))


def conda_of(stem: str, *, version: int = 2, **tars: bytes) -> bytes:
    """The archive of format 2 that has ``tars``: the metadata's, ``info``, and the files', ``pkg``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": version}))
        for kind, tar in tars.items():
            archive.writestr(f"{kind}-{stem}.tar.zst", zstandard.compress(tar))
    return buffer.getvalue()


def pin_of(
    data: bytes, *, name: str, version: str = "1.0", build: str = "0", suffix: str = ".conda"
) -> CondaPin:
    """The pin of a package, as a lock has it."""
    return CondaPin(
        name=name, version=version, build=build, channel="conda-forge", subdir="linux-64",
        file=f"{name}-{version}-{build}{suffix}", size=len(data), digest=Digest.of(data),
    )  # fmt: skip


def python_files() -> dict[str, CondaFile]:
    """The interpreter of the tests as conda's Python has its files, without tests and packages.

    Its library stays as it is: a linker lets one string be the end of another, and a prefix that ends in a
    version, unlike a placeholder, is such another.
    """
    base, minor = Path(sys.base_prefix), "{}.{}".format(*sys.version_info)
    libraries = list((base / "lib").glob("libpython*.so.*"))
    files = {
        f"bin/python{minor}": _built(Path(sys.executable).resolve(), "binary" if libraries else ""),
        "bin/python": CondaFile(link=f"python{minor}"),
    }
    files |= {f"lib/{library.name}": _built(library) for library in libraries}
    root = base / "lib" / f"python{minor}"
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        left_out = {"site-packages", "test", "tests", "__pycache__"} & set(parts) or path.suffix == ".a"
        if path.is_file() and not left_out:
            mode = "text" if path.suffix == ".py" and str(base).encode() in path.read_bytes() else ""
            files[f"lib/python{minor}/{'/'.join(parts)}"] = _built(path, mode)
    return files


def _built(path: Path, mode: str = "") -> CondaFile:
    executable = os.access(path, os.X_OK)
    return CondaFile(path.read_bytes(), mode=mode, executable=executable, placeholder=sys.base_prefix)


class Channel:
    """A channel in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: dict[str, dict[str, dict[str, Any]]] = {"linux-64": {}, "noarch": {}}
        self._write()

    def add(self, files: Mapping[str, CondaFile], **about: Any) -> Digest:
        """The channel has a package, of which ``about`` are the arguments of `make_conda`; its digest."""
        data = make_conda(files, **about)
        about = {"version": "1.0", "build": "0", "depends": (), "suffix": ".conda", "noarch": "", **about}
        subdir = "noarch" if about["noarch"] else "linux-64"
        file = "{name}-{version}-{build}{suffix}".format_map(about)
        (self.folder / subdir / file).write_bytes(data)
        row = {key: about[key] for key in ("name", "version", "build")}
        row |= {"build_number": 0, "depends": list(about["depends"]), "subdir": subdir, "size": len(data)}
        row |= {"noarch": about["noarch"]} if about["noarch"] else {}
        self._listed[subdir][file] = {**row, "sha256": Digest.of(data).hex}
        self._write()
        return Digest.of(data)

    def drop(self, names: Iterable[str]) -> None:
        """The channel no longer lists the files ``names``."""
        for listed in self._listed.values():
            for name in names:
                listed.pop(name, None)
        self._write()

    def _write(self) -> None:
        for subdir, listed in self._listed.items():
            folder = self.folder / subdir
            folder.mkdir(parents=True, exist_ok=True)
            document = {
                "info": {"subdir": subdir},
                "packages": {name: row for name, row in listed.items() if name.endswith(".bz2")},
                "packages.conda": {name: row for name, row in listed.items() if name.endswith(".conda")},
            }
            (folder / "repodata.json").write_text(json.dumps(document))
