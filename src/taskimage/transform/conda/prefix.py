"""The prefix in files that were built for another place (conda-build, "Making packages relocatable")."""

from __future__ import annotations

import re

from taskimage.model.errors import CannotBuild

__all__ = ["relocated"]


def relocated(data: bytes, placeholder: str, prefix: str, *, binary: bool) -> bytes:
    r"""``data`` with ``prefix`` wherever ``placeholder`` stands.

    A binary keeps its size: each string with the placeholder, which ends at its NUL, is filled up with NULs.
    Raises CannotBuild for a binary whose placeholder is shorter than the prefix.

    >>> relocated(b"\1/built/here/lib:/built/here\0\2", "/built/here", "/opt", binary=True)
    b'\x01/opt/lib:/opt\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02'
    """
    old, new = placeholder.encode(), prefix.encode()
    if not binary:
        return data.replace(old, new)
    if len(new) > len(old):
        raise CannotBuild(f"was built for a prefix of at most {len(old)} bytes, and {prefix!r} is longer")
    return re.sub(
        re.escape(old) + rb"[^\0]*",
        lambda match: match[0].replace(old, new).ljust(len(match[0]), b"\0"),
        data,
    )
