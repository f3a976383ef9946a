"""Entries of apt's sources, in both of their formats (sources.list(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from taskimage.adapters.debian.deb822 import paragraphs
from taskimage.model.value import dataclass

__all__ = ["Source", "read_sources"]

_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)"
)
_FALSE = frozenset(("no", "false", "without", "off", "disable"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One archive and suite that packages come from.

    Attributes:
        uri: The root of the archive, without a final slash.
        suite: A folder below ``dists``; of a flat archive, one below ``uri``, with a final slash.
        components: Empty for a flat archive.
        signed_by: Paths of keyrings, fingerprints, or one block of keys in ASCII; "" for all that apt trusts.
        architectures: Those that are asked for; empty means the image's own.
        is_trusted: Whether the source says that it needs no signature.
        expires: Whether the source lets an index past its Valid-Until be refused.
    """

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    signed_by: str = ""
    architectures: tuple[str, ...] = ()
    is_trusted: bool = False
    expires: bool = True


def read_sources(files: Iterable[tuple[str, str]]) -> Iterator[Source]:
    """The sources of binary packages that are enabled in ``files`` (name, text), in apt's order."""
    for name, text in files:
        read = _deb822 if name.endswith(".sources") else _one_line
        for uri, suite, components, options in read(text):
            yield Source(
                uri=uri.rstrip("/"),
                suite=suite,
                components=tuple(components.split()),
                signed_by=options.get("signed-by", ""),
                architectures=tuple(re.findall(r"[^\s,]+", options.get("architectures", ""))),
                is_trusted=options.get("trusted", "no").lower() not in _FALSE,
                expires=options.get("check-valid-until", "yes").lower() not in _FALSE,
            )


_Read = Iterator[tuple[str, str, str, Mapping[str, str]]]


def _one_line(text: str) -> _Read:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.partition("#")[0].strip()):
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            # The other format has the option in the plural.
            options["architectures"] = options.pop("arch", "")
            yield match["uri"], match["suite"], match["components"], options


def _deb822(text: str) -> _Read:
    for fields in paragraphs(text):
        if fields.get("enabled", "yes").lower() in _FALSE or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("components", ""), fields
