"""What a secret file of ``pip_secret_mounts`` is, told by where it would be mounted."""

from __future__ import annotations

from enum import Enum
from pathlib import PurePosixPath

__all__ = ["SecretKind"]


class SecretKind(Enum):
    """One kind of file that lets packages be had."""

    NETRC = "netrc"
    PIP = "pip.conf"

    @classmethod
    def of(cls, target: str) -> SecretKind | None:
        """The kind of the file that is mounted at ``target``; None for one that is not known."""
        name = PurePosixPath(target).name.lstrip(".")
        return next((kind for kind in cls if kind.value == name), None)
