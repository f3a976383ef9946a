"""A wheel as it is kept once it was built: the same files give the same bytes, whoever built it, where and when."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from taskimage.transform.zipmembers import Member, read_members, write_members

__all__ = ["normalised"]

_LEVEL = 6
_RECORD = re.compile(r"[^/]+\.dist-info/RECORD")


def normalised(opener: Callable[[], BinaryIO], *, where: str) -> bytes:
    """The wheel that ``opener`` opens, with members and lines of RECORD sorted, and with constant times and modes.

    Raises as `read_members` does.
    """
    members = read_members(opener, where=where)
    return write_members(
        ((member.path, _data(member)) for member in members),
        level=_LEVEL,
        executable={member.path for member in members if member.executable},
    )


def _data(member: Member) -> bytes:
    with member.body.open() as stream:
        data = stream.read()
    # Backends list files as the disk has them.
    return b"".join(sorted(data.splitlines(keepends=True))) if _RECORD.fullmatch(member.path) else data
