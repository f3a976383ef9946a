"""What the signed InRelease of a suite says: which suite, how long it holds, and the digests of its indexes.

The format is that of https://wiki.debian.org/DebianRepository/Format, "Release" files.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from taskimage.adapters.debian.deb822 import paragraph
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound
from taskimage.model.value import dataclass

__all__ = ["AUTOMATIC", "COMPRESSIONS", "UPGRADES_ONLY", "Listed", "Release"]

COMPRESSIONS = (".gz", ".xz", "")
"""How a list of packages may be compressed, by the ending of its name, the quickest first.

What gzip makes is larger by three eighths than what xz makes, and unpacked in a sixth of the time.
"""

AUTOMATIC, UPGRADES_ONLY, NOT_AUTOMATIC = 500, 100, 1
"""apt's priorities; one that is installed has the second."""

_FIELDS = frozenset((
    "origin", "label", "suite", "codename", "date", "valid-until", "acquire-by-hash", "notautomatic",
    "butautomaticupgrades", "sha256",
))  # fmt: skip

# Suites that are published with updates and security fixes, by the archive's own name for their state.
_SERVED = ("stable", "oldstable", "oldoldstable")


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a suite: ``path`` below the suite's folder, size in bytes, digest."""

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The fields of an InRelease that are used; ``suite`` is the state (``oldstable``), ``codename`` the name.

    ``origin`` is who publishes it, and ``priority`` how much its packages are wanted (apt_preferences(5)):
    those of a suite such as backports are taken when they are asked for, not because they are newer.
    """

    origin: str
    suite: str
    codename: str
    priority: int
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    files: Mapping[str, Listed]
    where: str

    @classmethod
    def parse(cls, text: str, *, where: str) -> Release:
        """The release that the signed ``text`` describes. Raises IntegrityError, naming ``where``."""
        fields = paragraph(text, _FIELDS)
        try:
            listed = [_listed(line) for line in fields["sha256"].split("\n") if line]
            return cls(
                origin=fields.get("origin") or fields.get("label", ""),
                suite=fields.get("suite", ""),
                codename=fields.get("codename", ""),
                priority=_priority(fields),
                date=_date(fields["date"]),
                valid_until=_date(fields["valid-until"]) if "valid-until" in fields else None,
                by_hash=_says_yes(fields, "acquire-by-hash"),
                files={item.path.removeprefix("./"): item for item in listed},
                where=where,
            )
        except (KeyError, ValueError, BadInput) as error:
            raise IntegrityError(f"cannot be read as a Debian release file: {error}", where=where) from error

    @property
    def is_served(self) -> bool:
        """Whether updates and security fixes are published for it, so that their absence is an error."""
        return self.suite in _SERVED

    def check(self, suite: str, *, now: datetime, allow_expired: bool) -> None:
        """Refuse another suite in the place of ``suite``, and one that is past its time.

        A flat archive, whose suite ends with a slash, has no name that could be another's.
        """
        if not suite.endswith("/") and suite not in (self.codename, self.suite):
            raise IntegrityError(
                f"it is signed for {self.codename!r} ({self.suite}), wanted {suite!r}", where=self.where
            )
        if self.valid_until is not None and self.valid_until < now and not allow_expired:
            raise IntegrityError(
                f"the index of {suite!r} was valid until {self.valid_until:%Y-%m-%d %H:%M} UTC, which is past",
                where=self.where,
                hint="the mirror may be out of date: use another one (TASKIMAGE_DEBIAN_MIRROR), or let it pass in the "
                "spec: builder_options: {taskimage: {expired_indexes: true}}",
            )

    def packages(self, architecture: str, component: str = "main") -> tuple[Listed, ...]:
        """The list of packages of ``component`` for ``architecture``, in each form that it has, the best first.

        A flat archive has one list, which is that of the component "". Raises NotFound.
        """
        path = f"{component}/binary-{architecture}/Packages" if component else "Packages"
        if path in self.files:
            forms = (f"{path}{ending}" for ending in COMPRESSIONS)
            return tuple(self.files[form] for form in forms if form in self.files)
        beginning = f"{component}/binary-"
        known = sorted(
            name.removeprefix(beginning).removesuffix("/Packages")
            for name in self.files
            if name.startswith(beginning) and name.endswith("/Packages")
        )
        raise NotFound(
            f"{component!r} of suite {self.codename!r} has no packages for architecture {architecture!r}; "
            f"it has {', '.join(known) or 'none at all'}",
            where=self.where,
        )

    def unpacked_size(self, listed: Listed) -> int:
        """How many bytes ``listed`` has when it is decompressed."""
        path = listed.path.removeprefix("./")
        return self.files[
            next(path.removesuffix(ending) for ending in COMPRESSIONS if path.endswith(ending))
        ].size


def _priority(fields: Mapping[str, str]) -> int:
    if not _says_yes(fields, "notautomatic"):
        return AUTOMATIC
    return UPGRADES_ONLY if _says_yes(fields, "butautomaticupgrades") else NOT_AUTOMATIC


def _says_yes(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "").lower() == "yes"


def _listed(line: str) -> Listed:
    hexadecimal, size, path = line.split()
    return Listed(path, int(size), Digest.parse(f"sha256:{hexadecimal}"))


def _date(text: str) -> datetime:
    from email.utils import parsedate_to_datetime

    moment = parsedate_to_datetime(text)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
