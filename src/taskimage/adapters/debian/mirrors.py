"""Where Debian's archives are: the mirrors of the settings, else those of the host's own apt sources.

Two archives make a suite: the main one (releases and their updates) and the security one. A lock names them
by alias, so that everyone who shares it may use another mirror.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from taskimage.adapters.debian.sources import Source, read_sources
from taskimage.adapters.http import redacted
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.value import dataclass

__all__ = ["MAIN", "SECURITY", "Mirrors", "archive_of"]

MAIN = "debian"
SECURITY = "debian-security"

# What tells Debian's own entries from those of other distributions.
_RELEASES = re.compile(
    r"(?:(?:old){0,3}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)(-security)?\Z"
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
        sources = list(_debians_own(apt_root))
        main = _uris(source for source in sources if archive_of(source.suite) == MAIN)
        security = _uris(source for source in sources if archive_of(source.suite) == SECURITY)
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


def _uris(sources: Iterable[Source]) -> tuple[str, ...]:
    found = list(sources)
    nearest = min(map(_distance, found), default=0)
    return tuple(dict.fromkeys(_root(source.uri) for source in found if _distance(source) == nearest))


def _distance(source: Source) -> int:
    """How far a source is from one that is Debian's own for sure: others use its suites' names too."""
    return 0 if "debian-archive" in source.signed_by else 2 if source.signed_by else 1


def _debians_own(apt_root: Path) -> Iterator[Source]:
    """The host's sources of main of Debian's releases, as apt orders their files."""
    for source in read_sources(_files(apt_root)):
        is_served = source.uri.startswith(("http://", "https://"))
        if is_served and _RELEASES.match(source.suite) and "main" in source.components:
            yield source


def _files(apt_root: Path) -> Iterator[tuple[str, str]]:
    folder = apt_root / "sources.list.d"
    for path in (
        apt_root / "sources.list",
        *sorted(folder.glob("*.list")),
        *sorted(folder.glob("*.sources")),
    ):
        try:
            yield path.name, path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
