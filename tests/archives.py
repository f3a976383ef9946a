"""Debian packages and wheels made in code, for the tests of what reads them."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "ar_of",
    "make_deb",
    "make_wheel",
    "make_zip",
    "member",
    "metadata",
    "record",
    "record_digest",
    "tar_of",
]

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


def make_deb(
    files: Mapping[str, bytes] | None = None,
    *,
    links: Mapping[str, str] | None = None,
    data: bytes | None = None,
    scripts: Mapping[str, str] | None = None,
    compression: str = ".xz",
    **fields: str,
) -> bytes:
    """The bytes of a .deb with ``files``, or with the data archive ``data``; ``fields`` go into its control file."""
    known = {
        "Package": "thing",
        "Version": "1.0-1",
        "Architecture": "amd64",
        "Maintainer": "A <a@example.org>",
    }
    control = (
        "".join(f"{k.replace('_', '-')}: {v}\n" for k, v in {**known, **fields}.items()) + "Description: x\n"
    )
    inner = tar_of(member(k, v.encode(), 0o755) for k, v in {"control": control, **(scripts or {})}.items())
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


def make_wheel(
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    needs: Sequence[str] = (),
    python: str = "",
    licence: str = "",
    files: Mapping[str, bytes] | None = None,
) -> tuple[str, bytes]:
    """The file name and bytes of a wheel with ``files`` and a RECORD that is true."""
    folder = f"{name}-{version}.dist-info"
    members = {
        **(files or {}),
        f"{folder}/METADATA": metadata(name, version, needs=needs, python=python, licence=licence).encode(),
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    return f"{name}-{version}-{tag}.whl", make_zip({**members, f"{folder}/RECORD": record(members, folder)})


def make_zip(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of ``members``, deflated."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def metadata(
    name: str, version: str, *, needs: Sequence[str] = (), python: str = "", licence: str = ""
) -> str:
    """The text of a METADATA file."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}"] * bool(python) + [f"Requires-Dist: {need}" for need in needs]
    lines += [f"License-Expression: {licence}"] * bool(licence)
    return "\n".join(lines) + "\n"


def record(files: Mapping[str, bytes], folder: str) -> bytes:
    """The RECORD of a wheel with ``files``, whose metadata is in ``folder``."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows((path, record_digest(data), len(data)) for path, data in files.items())
    rows.writerow((f"{folder}/RECORD", "", ""))
    return text.getvalue().encode()


def record_digest(data: bytes) -> str:
    """``data``'s digest as RECORD writes it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
