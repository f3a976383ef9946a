"""Conda channels: which ones are asked, in which order, and by which names a lock knows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from taskimage.adapters.http import redacted
from taskimage.adapters.http.network import is_loopback
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

__all__ = ["FIRST", "Channel", "channels", "scrubbed"]

# Asked first in every environment, as flytekit's own builder does.
FIRST: Final = "conda-forge"
_ALIAS = "CONDA_CHANNEL_ALIAS"
_PART = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel under the name that locks have for it; a ``url`` None is below conda's own default."""

    alias: str
    url: str | None

    @property
    def has_secret(self) -> bool:
        """Whether its address carries a login, or a token as channels have it in their paths (``/t/TOKEN/``)."""
        parts = urlsplit(self.url or "")
        return parts.username is not None or "/t/" in parts.path


def channels(wanted: Sequence[str], environ: Mapping[str, str]) -> tuple[Channel, ...]:
    """The channels to ask, in order: conda-forge, and what ``conda_channels`` of a spec says.

    A name keeps its own in the lock, and stands below the address that CONDA_CHANNEL_ALIAS has, a mirror;
    an address gets an alias by its place, such as ``conda_channels-1``: some have tokens in the path.

    Raises BadInput for what is neither, and for an address that is not https or ``file://``.
    """
    root = environ.get(_ALIAS, "").rstrip("/")
    if root:
        _check_address(root, _ALIAS)
    found = {}
    for number, text in enumerate((FIRST, *wanted)):
        if "://" in text:
            alias = f"conda_channels-{number}"
            _check_address(text, alias)
            found[alias] = Channel(alias, text.rstrip("/"))
        elif _NAME.fullmatch(text):
            found[text] = Channel(text, f"{root}/{text}" if root else None)
        else:
            raise BadInput(
                f"conda_channels has {text!r:.80}; wanted a name such as 'conda-forge', https:// or file://"
            )
    return tuple(found.values())


def scrubbed(text: str, known: Sequence[Channel]) -> str:
    """``text`` with aliases in the place of addresses: some have tokens in the path."""
    for channel in known:
        text = text.replace(str(channel.url), channel.alias)
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)


def _check_address(url: str, where: str) -> None:
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not (safe and parts.hostname) and not (parts.scheme == "file" and not parts.netloc):
        raise BadInput(
            f"not an address that can be trusted: {redacted(url)!r:.200}; wanted https:// or file://",
            where=where,
            hint="channels are not signed: over plain http anybody on the way could change them",
        )
