"""Headers of strangers' archives are read into memory as far as any real one goes."""

from __future__ import annotations

import io
import tarfile

import pytest

from taskimage.transform.boundedtar import BoundedMember

EXTENDED = [
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
]


def header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("a")
    info.type, info.size = kind, size
    return info.tobuf()


def names(data: bytes, mode: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data), mode=mode, tarinfo=BoundedMember) as archive:  # type: ignore[call-overload]
        return [member.name for member in archive]


@pytest.mark.parametrize("mode", ["r:", "r|"])
@pytest.mark.parametrize("kind", EXTENDED)
def test_a_header_of_an_absurd_size_is_refused_before_it_is_read(kind: bytes, mode: str) -> None:
    with pytest.raises(tarfile.ReadError, match="a header of 1073741824 bytes"):
        names(header(kind, 1 << 30), mode)


@pytest.mark.parametrize("first", EXTENDED)
def test_nor_behind_another_header(first: bytes) -> None:
    """Those are read by another way in some versions of tarfile."""
    behind = header(first, 0) + header(tarfile.XHDTYPE, 1 << 30)
    with pytest.raises(tarfile.ReadError, match="a header of 1073741824 bytes"):
        names(behind + bytes(1024), "r:")


@pytest.mark.parametrize("mode", ["r:", "r|"])
def test_a_long_name_is_no_absurd_one(mode: str) -> None:
    name = "a/" * 2000 + "b"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            archive.addfile(tarfile.TarInfo(name))
        assert names(out.getvalue(), mode) == [name]
