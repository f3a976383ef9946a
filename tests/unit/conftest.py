"""Packages made in code, for the tests of what reads them."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import pytest

from taskimage.transform.deb import Deb, read_deb

MakeDeb: TypeAlias = Callable[..., bytes]
MakePackage: TypeAlias = Callable[..., Deb]
_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def tar_of(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar archive of ``members``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def member(
    path: str, data: bytes = b"", mode: int = 0o644, **attributes: object
) -> tuple[tarfile.TarInfo, bytes]:
    """A member named ``./path``, as dpkg-deb writes it; a directory where the path ends with a slash."""
    info = tarfile.TarInfo(f"./{path}")
    info.mode = mode
    if path.endswith("/") or not path:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    for name, value in attributes.items():
        setattr(info, name, value)
    return info, data


def ar_of(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An ar archive of ``members``."""
    parts = [b"!<arch>\n"]
    for name, data in members:
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


@pytest.fixture(scope="session")
def make_deb() -> MakeDeb:
    """A function that makes the bytes of a .deb."""

    def make(
        files: Mapping[str, bytes] | None = None,
        *,
        links: Mapping[str, str] | None = None,
        data: bytes | None = None,
        scripts: Mapping[str, str] | None = None,
        compression: str = ".xz",
        **fields: str,
    ) -> bytes:
        known = {
            "Package": "thing",
            "Version": "1.0-1",
            "Architecture": "amd64",
            "Maintainer": "A <a@example.org>",
        }
        control = (
            "".join(f"{k.replace('_', '-')}: {v}\n" for k, v in {**known, **fields}.items())
            + "Description: x\n"
        )
        inner = tar_of(
            member(k, v.encode(), 0o755) for k, v in {"control": control, **(scripts or {})}.items()
        )
        members = [member(path, content) for path, content in (files or {}).items()]
        members += [member(path, type=tarfile.SYMTYPE, linkname=to) for path, to in (links or {}).items()]
        compress = _COMPRESS[compression]
        return ar_of(
            [
                ("debian-binary", b"2.0\n"),
                (f"control.tar{compression}", compress(inner)),
                (f"data.tar{compression}", compress(tar_of(members) if data is None else data)),
            ]
        )

    return make


@pytest.fixture(scope="session")
def make_package(make_deb: MakeDeb) -> MakePackage:
    """A function that makes a .deb and reads it."""

    def make(*arguments: object, **fields: object) -> Deb:
        deb = make_deb(*arguments, **fields)
        return read_deb(io.BytesIO(deb), io.BytesIO(), where="thing.deb")

    return make
