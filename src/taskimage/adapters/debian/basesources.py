"""The apt sources of a base image as places to read: which mirrors serve them, and which keys sign them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from taskimage.adapters.debian.mirrors import Mirrors, archive_of
from taskimage.adapters.debian.pockets import Place
from taskimage.adapters.debian.signature import Keyring
from taskimage.adapters.debian.sources import Source, read_sources
from taskimage.adapters.http import redacted
from taskimage.model.base import BaseFacts
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound

if TYPE_CHECKING:
    from pysequoia import Cert

__all__ = ["base_place", "base_sources", "why_unusable"]

_FILE = re.compile(r"etc/apt/sources\.list(\.d/[^/]+\.(list|sources))?")
_TRUSTED = re.compile(r"etc/apt/trusted\.gpg(\.d/[^/]+)?")
# The roots of Debian's own archives end like this on every mirror of theirs; a snapshot's, which is of another
# time, does not, nor does a private archive.
_DEBIANS_OWN = ("/debian", "/debian-security")
_KEYS = (
    "these are the keyrings of the base image, and of its sources: use a base image with the archive's key"
)


def base_sources(facts: BaseFacts) -> tuple[Source, ...]:
    """The sources that are enabled in the base, in apt's order; each archive and suite once."""
    files = sorted((path, text) for path, text in facts.texts.items() if _FILE.fullmatch(path))
    merged: dict[Source, tuple[str, ...]] = {}
    for source in read_sources(files):
        key = replace(source, components=())
        merged[key] = (*merged.get(key, ()), *source.components)
    return tuple(replace(source, components=tuple(dict.fromkeys(parts))) for source, parts in merged.items())


def why_unusable(source: Source, facts: BaseFacts) -> str | None:
    """Why nothing can be had from ``source``, or None."""
    if not source.uri.startswith(("http://", "https://")):
        return "it is not reached by http or https"
    if source.is_trusted:
        return "it says trusted=yes, and what is not signed is not taken"
    if missing := [path for path in _paths(source) if path not in facts.keyrings]:
        return f"its keyring {f'/{missing[0]}'!r} is not there"
    return None


def base_place(
    source: Source, facts: BaseFacts, *, mirrors: Callable[[], Mirrors], keys: Callable[[], Keyring]
) -> Place:
    """Where the suite of ``source`` is.

    One of Debian's own archives is asked of the ``mirrors`` first and may be signed with ``keys`` as well; any
    other is where the source says, signed with the base's own keys alone.
    """

    def roots() -> tuple[str, ...]:
        return tuple(dict.fromkeys((*_known(mirrors, source.suite), source.uri)))

    def signers() -> Keyring:
        return Keyring({**keys().certificates, **_keyring(source, facts).certificates})

    is_own = _is_debians_own(source, facts)
    slug = re.sub(r"[^a-z0-9.-]+", "-", source.suite.lower()).strip("-.")
    return Place(
        suite=source.suite,
        shelf=source.suite if is_own else f"{slug}-{Digest.of(source.uri.encode()).hex[:16]}",
        archive=archive_of(source.suite) if is_own else None,
        roots=roots if is_own else lambda: (source.uri,),
        keys=signers if is_own else lambda: _keyring(source, facts),
        components=("",) if source.suite.endswith("/") else source.components,
        expires=source.expires,
    )


def _is_debians_own(source: Source, facts: BaseFacts) -> bool:
    return (
        facts.os_release.get("ID") == "debian"
        and urlsplit(source.uri).path in _DEBIANS_OWN
        and "main" in source.components
        and (not source.signed_by or "debian-archive" in source.signed_by)
    )


def _known(mirrors: Callable[[], Mirrors], suite: str) -> tuple[str, ...]:
    try:
        return mirrors().of(archive_of(suite))
    except NotFound:
        return ()


def _paths(source: Source) -> list[str]:
    """The keyrings that ``source`` names."""
    return [word.strip("/") for word in _words(source) if word.startswith("/")]


def _words(source: Source) -> list[str]:
    return [] if "BEGIN PGP" in source.signed_by else re.findall(r"[^\s,]+", source.signed_by)


def _keyring(source: Source, facts: BaseFacts) -> Keyring:
    """The certificates that ``source`` may be signed with (sources.list(5), Signed-By)."""
    if "BEGIN PGP" in source.signed_by:
        # A lone dot stands for an empty line (deb822(5)).
        block = re.sub(r"^\.$", "", source.signed_by, flags=re.MULTILINE)
        return Keyring.parse(block.encode(), where=f"Signed-By of {redacted(source.uri)}", hint=_KEYS)
    words = _words(source)
    named = {path: facts.keyrings[path] for path in _paths(source)}
    trusted = {path: data for path, data in facts.keyrings.items() if _TRUSTED.fullmatch(path)}
    certificates = dict(_certificates((named or trusted).items()))
    if words and not named:
        wanted = {word.rstrip("!").lower() for word in words}
        certificates = {key: value for key, value in certificates.items() if key.lower() in wanted}
    return Keyring(certificates, _KEYS)


def _certificates(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Cert]]:
    for path, data in files:
        try:
            yield from Keyring.parse(data, where=path).certificates.items()
        except BadInput:
            continue  # as apt does: what is no keyring adds no key
