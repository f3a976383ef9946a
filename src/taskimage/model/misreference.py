"""Why a text is no reference: the first place that is wrong, the reason, and what would be accepted there.

Only read once `Reference.parse` has said no, so that the way of good identifiers stays short.
"""

from __future__ import annotations

import re

from taskimage.model.digest import LENGTHS
from taskimage.model.errors import InvalidReference
from taskimage.model.reference import (
    COMPONENT,
    HOST_PART,
    LONGEST_IDENTIFIER,
    LONGEST_REPOSITORY,
    split_registry,
    with_defaults,
)
from taskimage.model.shown import shown
from taskimage.model.value import dataclass

__all__ = ["explain"]

_WHOLE = "an identifier is [registry/]repository[:tag][@digest]"
_DIGEST = "a digest is sha256: and 64 hexadecimal digits (sha384: 96, sha512: 128) in lower case"
_TAG = "a tag is 1 to 128 letters, digits, '_', '.' and '-', and begins with neither '.' nor '-'"
_REGISTRY = "a registry is host, host:port, [IPv6] or [IPv6]:port"
_REPOSITORY = "a repository is lower-case letters and digits, joined by '.', '_', '__', dashes or '/'"

_FOREIGN = re.compile(r"[^A-Za-z0-9._:/@\[\]-]")
_NOT_HEX = re.compile(r"[^0-9a-f]")
_NOT_TAG = re.compile(r"[^A-Za-z0-9_.-]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ALGORITHM = re.compile("sha[0-9]+:")
_SEEN = 36  # characters of a long identifier that are shown on either side of the place


@dataclass(frozen=True, slots=True)
class Fault:
    """``position`` is an offset into the identifier; at its end when something is missing there."""

    position: int
    reason: str
    accepted: str
    hint: str | None = None


def explain(identifier: str) -> InvalidReference:
    """The error for ``identifier``, which must be one that `Reference.parse` refuses."""
    shown = _without_credentials(identifier)
    fault = (
        _whole(shown, hidden=shown != identifier)
        or _foreign(shown)
        or _digest(shown)
        or _tag(shown)
        or _registry(shown)
        or _repository(shown)
    )
    excerpt, mark = _excerpt(shown, fault.position)
    return InvalidReference(
        f"not an image identifier: {fault.reason}\n    {excerpt}\n    {' ' * mark}^\n{fault.accepted}",
        identifier=shown,
        position=fault.position,
        hint=fault.hint,
    )


def _without_credentials(identifier: str) -> str:
    """``identifier`` with ``***`` for what stands before ``@`` and a host: errors end up in logs."""
    user, at, rest = identifier.rpartition("@")
    host = "://" in user or "/" in rest or "." in rest
    return f"***@{rest}" if at and host and not _ALGORITHM.match(rest) else identifier


def _excerpt(text: str, position: int) -> tuple[str, int]:
    """The part of ``text`` around ``position`` on one line, and the column of the place in it."""
    start = max(0, position - _SEEN)
    before = ("…" if start else "") + repr(text[start:position])[1:-1]
    after = repr(text[position : position + _SEEN])[1:-1] + ("…" if len(text) > position + _SEEN else "")
    return before + after, len(before)


def _whole(text: str, *, hidden: bool) -> Fault | None:
    if not text:
        return Fault(0, "it is empty", _WHOLE)
    if hidden:
        return Fault(0, "it begins with a user name", _WHOLE, "credentials belong in docker's config.json")
    if len(text) > LONGEST_IDENTIFIER:
        return Fault(
            LONGEST_IDENTIFIER,
            f"it is {len(text)} characters long",
            f"{_WHOLE}, {LONGEST_IDENTIFIER} at most",
        )
    if scheme := _SCHEME.match(text):
        rest = text[scheme.end() :]
        return Fault(
            0, f"it begins with the scheme {scheme.group()!r}", _WHOLE, f"leave it out: {shown(rest)}"
        )
    if len(text) == LENGTHS["sha256"] and not _NOT_HEX.search(text):
        return Fault(
            0, "64 hexadecimal digits are the ID of an image", _WHOLE, "as a digest: repository@sha256:…"
        )
    return None


def _foreign(text: str) -> Fault | None:
    found = _FOREIGN.search(text)
    if found is None:
        return None
    character = found.group()
    what = "a space" if character == " " else f"the character {character!r}"
    hint = "a template is filled in before it is parsed" if text.startswith("{{", found.start()) else None
    return Fault(found.start(), f"{what} is in it", _WHOLE, hint)


def _digest(text: str) -> Fault | None:
    start = text.find("@") + 1
    if not start:
        return None
    if start == 1:
        return Fault(0, "there is no repository in front of the digest", _WHOLE)
    algorithm, colon, value = text[start:].partition(":")
    length = LENGTHS.get(algorithm)
    if not colon or length is None:
        return Fault(
            start,
            f"{algorithm!r} is not the name of a digest algorithm" if algorithm else "the digest is empty",
            _DIGEST,
        )
    start += len(algorithm) + 1
    if found := _NOT_HEX.search(value):
        return Fault(start + found.start(), f"{found.group()!r} is in the digest", _DIGEST)
    if len(value) != length:
        return Fault(
            start + min(len(value), length),
            f"the digest has {len(value)} digits, {algorithm} has {length}",
            _DIGEST,
        )
    return None


def _parts(text: str) -> tuple[str, str, str | None]:
    """Registry, repository and tag as written; each is a prefix of what follows the one before."""
    name = text.partition("@")[0]
    registry, rest = name.partition("/")[::2] if name.startswith("[") else split_registry(name)
    repository, colon, tag = rest.rpartition(":")
    return (registry, repository, tag) if colon and "/" not in tag else (registry, rest, None)


def _tag(text: str) -> Fault | None:
    registry, repository, tag = _parts(text)
    if tag is None:
        return None
    start = len(registry) + bool(registry) + len(repository) + 1
    if not tag:
        return Fault(start, "the tag is empty", _TAG, f"leave out the ':' or name one: {text[:start]}latest")
    if tag[0] in ".-":
        return Fault(start, f"the tag begins with {tag[0]!r}", _TAG)
    if found := _NOT_TAG.search(tag):
        return Fault(start + found.start(), f"{found.group()!r} is in the tag", _TAG)
    return Fault(start + 128, f"the tag has {len(tag)} characters", _TAG) if len(tag) > 128 else None


def _registry(text: str) -> Fault | None:
    registry, _, _ = _parts(text)
    if registry.startswith("["):
        host, bracket, port = registry.partition("]")
        if found := re.search(r"[^0-9a-fA-F:]", host[1:]):
            return Fault(found.start() + 1, f"{found.group()!r} is in the IPv6 address", _REGISTRY)
        if not bracket or len(host) == 1:
            return Fault(len(host), "the IPv6 address is empty or has no ']' behind it", _REGISTRY)
        start = len(host) + 1
    else:
        host = registry.partition(":")[0]
        start, port = len(host), registry[len(host) :]
        if registry.count(":") > 1:
            return Fault(
                start, "the registry has more than one ':'", _REGISTRY, "an IPv6 address is put in brackets"
            )
        fault = _host(host) if registry else None
        if fault:
            return fault
    if port and not re.fullmatch(":[0-9]+", port):
        return Fault(start, f"{port!r} is not a port", _REGISTRY)
    return None


def _host(host: str) -> Fault | None:
    start = 0
    for part in host.split("."):
        match = re.match(HOST_PART, part)
        end = match.end() if match else 0
        if end != len(part) or not part:
            what = f"{part[end:][0]!r} is where none may be" if part else "a part is empty"
            return Fault(start + end, f"{what} in the registry", _REGISTRY)
        start += len(part) + 1
    return None


def _repository(text: str) -> Fault:
    registry, repository, _ = _parts(text)
    start = len(registry) + bool(registry)
    if not repository:
        return Fault(min(start, len(text)), "there is no repository", _WHOLE)
    position = start
    for component in repository.split("/"):
        match = re.match(COMPONENT, component)
        end = match.end() if match else 0
        if end != len(component) or not component:
            return _component(component, position, end, text)
        position += len(component) + 1
    added = len(with_defaults(registry, repository)[1]) - len(repository)
    place = start + LONGEST_REPOSITORY - added
    return Fault(
        place,
        f"the repository has {len(repository) + added} characters",
        f"a repository has at most {LONGEST_REPOSITORY}",
    )


def _component(component: str, position: int, end: int, text: str) -> Fault:
    """``component`` is good up to ``end`` and stands at ``position`` of ``text``."""
    if not component:
        return Fault(position, "a part of the repository is empty", _REPOSITORY)
    character = component[end]
    if character.isupper():
        registry, repository, _ = _parts(text)
        start = len(registry) + bool(registry)
        lowered = text[:start] + repository.lower() + text[start + len(repository) :]
        return Fault(position + end, "a capital is in the repository", _REPOSITORY, f"write {lowered!r}")
    if character == ":":
        return Fault(position + end, "a ':' is in the repository", _WHOLE, "the tag comes last")
    return Fault(position + end, f"{character!r} is where none may be in the repository", _REPOSITORY)
