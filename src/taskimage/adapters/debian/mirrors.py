"""Where Debian's archives are: the mirrors of the settings, else those of the host's own apt sources.

Two archives make a suite: the main one (releases and their updates) and the security one. A lock names them
by alias, so that everyone who shares it may use another mirror.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from taskimage.adapters.debian.deb822 import paragraphs
from taskimage.adapters.http import redacted
from taskimage.model.errors import BadInput, NotFound

__all__ = ["MAIN", "SECURITY", "Mirrors", "archive_of"]

MAIN = "debian"
SECURITY = "debian-security"

# What tells Debian's own entries from those of other distributions.
_RELEASES = re.compile(
    r"(?:(?:old){0,3}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)(-security)?\Z"
)
_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)"
)


def archive_of(suite: str) -> str:
    """The alias of the archive that holds ``suite``."""
    return SECURITY if suite.endswith("-security") else MAIN


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The roots of each archive's mirrors, without a final slash, in the order in which they are asked."""

    main: tuple[str, ...]
    security: tuple[str, ...]

    @classmethod
    def find(cls, settings: tuple[str, ...], apt_root: Path) -> Mirrors:
        """The mirrors of the settings, each of them for both archives; else those of the apt sources.

        Raises BadInput for a setting that is no URL, NotFound where no mirror is known.
        """
        if settings:
            roots = tuple(_root(url) for url in settings)
            return cls(_own_first(roots, MAIN), _own_first(roots, SECURITY))
        entries = list(_entries(apt_root))
        main = _uris(entry for entry in entries if not entry.is_security)
        security = _uris(entry for entry in entries if entry.is_security)
        if not main:
            raise NotFound(
                f"no mirror of Debian is known: neither a setting nor the apt sources in {str(apt_root)!r} name one",
                hint="set TASKIMAGE_DEBIAN_MIRROR to the URL of a Debian mirror, and of its security mirror "
                "after a space when that is another one",
            )
        return cls(main, security or main)

    def of(self, archive: str) -> tuple[str, ...]:
        """The mirrors of ``archive``, which is an alias."""
        return self.security if archive == SECURITY else self.main


def _root(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(
            f"not a Debian mirror: {redacted(url)!r}; wanted a URL that starts with http:// or https://",
            hint="look at TASKIMAGE_DEBIAN_MIRROR or debian_mirror in config.toml",
        )
    return url.rstrip("/")


def _own_first(roots: tuple[str, ...], archive: str) -> tuple[str, ...]:
    # A mirror that is named for the archive is asked before the others, which spares a vain request.
    return tuple(sorted(roots, key=lambda root: not root.endswith(f"/{archive}")))


@dataclass(frozen=True, slots=True)
class _Entry:
    uri: str
    suite: str
    signed_by: str

    @property
    def is_security(self) -> bool:
        return archive_of(self.suite) == SECURITY

    @property
    def distance(self) -> int:
        """How far the entry is from one that is Debian's own for sure: others use its suites' names too."""
        return 0 if "debian-archive" in self.signed_by else 2 if self.signed_by else 1


def _uris(entries: Iterator[_Entry]) -> tuple[str, ...]:
    found = list(entries)
    nearest = min((entry.distance for entry in found), default=0)
    return tuple(dict.fromkeys(_root(entry.uri) for entry in found if entry.distance == nearest))


def _entries(apt_root: Path) -> Iterator[_Entry]:
    """The host's entries for main of Debian's releases (sources.list(5)), as apt orders their files."""
    folder = apt_root / "sources.list.d"
    for path in (
        apt_root / "sources.list",
        *sorted(folder.glob("*.list")),
        *sorted(folder.glob("*.sources")),
    ):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for uri, suite, components, signed_by in (_deb822 if path.suffix == ".sources" else _one_line)(text):
            if uri.startswith(("http://", "https://")) and _RELEASES.match(suite) and "main" in components:
                yield _Entry(uri, suite, signed_by)


def _one_line(text: str) -> Iterator[tuple[str, str, list[str], str]]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.partition("#")[0].strip()):
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            yield match["uri"], match["suite"], match["components"].split(), options.get("signed-by", "")


def _deb822(text: str) -> Iterator[tuple[str, str, list[str], str]]:
    for fields in paragraphs(text):
        disabled = fields.get("enabled", "yes").lower() in ("no", "false", "without", "off", "disable")
        if disabled or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("components", "").split(), fields.get("signed-by", "")
