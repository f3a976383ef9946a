"""Which wheel of each resolved package is for the target, out of those that uv lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from taskimage.adapters.http import Fetch
from taskimage.adapters.pypi.indexes import Index
from taskimage.adapters.pypi.requirements import Line
from taskimage.adapters.pypi.target import Target
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, CannotBuild, IntegrityError
from taskimage.model.lock import SdistPin, WheelPin
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from types import ModuleType

    from packaging.pylock import Package, PackageSdist, PackageWheel

__all__ = ["Chosen", "choose", "make_ready", "read_pylock", "without_wheel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A wheel, where it is, and the index that says so; ``size`` is None where that does not tell it.

    Or an sdist in its place; or the wheel that was built of one, which is in the store and nowhere else.
    """

    name: str
    version: str
    file: str
    digest: Digest
    size: int | None
    url: str
    index: Index
    sdist: SdistPin | None = None

    def pin(self, size: int) -> WheelPin:
        """What a lock says of it, with its ``size`` in bytes."""
        return WheelPin(
            name=self.name,
            version=self.version,
            index=self.index.alias,
            file=self.file,
            size=size,
            digest=self.digest,
            sdist=self.sdist,
        )

    def fetch(self) -> Fetch:
        """How to fetch it."""
        return Fetch((self.url,), self.digest, self.size, self.file, self.index.login(self.url))


def make_ready() -> None:
    """Load what `read_pylock` and `choose` import: whoever waits for uv has the time for it."""
    import packaging.pylock
    import packaging.tags  # noqa: F401 - as above

    _tomllib()


def _tomllib() -> ModuleType:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    found: ModuleType = tomllib
    return found


def read_pylock(text: str) -> Sequence[Package]:
    """The packages of a ``pylock.toml`` (PEP 751). Raises CannotBuild for one that is not valid."""
    from packaging.pylock import Pylock, PylockValidationError

    tomllib = _tomllib()
    try:
        return Pylock.from_dict(tomllib.loads(text)).packages
    except (PylockValidationError, tomllib.TOMLDecodeError) as error:
        raise CannotBuild(f"uv's result cannot be read: {error}", hint="try another version of uv") from error


def choose(
    packages: Sequence[Package],
    target: Target,
    lines: Sequence[Line],
    index_of: Mapping[str, Index],
    *,
    buildable: Collection[str] = (),
) -> Iterator[Chosen]:
    """The best wheel of every package by the target's tags, among those that all hashes of ``lines`` allow.

    Of what is ``buildable`` the sdist, where there is no such wheel.

    Raises CannotBuild when a package has no wheel for the target, IntegrityError when the hashes allow none.
    """
    from packaging.tags import create_compatible_tags_selector
    from packaging.utils import parse_wheel_filename

    select = create_compatible_tags_selector(target.tags)
    for package in packages:
        parsed = [(wheel, parse_wheel_filename(wheel.filename)) for wheel in _wheels(package)]
        # Of equal tags the highest build number is the best; the selector keeps the order of equals.
        parsed.sort(key=lambda pair: pair[1][2], reverse=True)
        fitting = list(select((wheel, tags) for wheel, (_, _, _, tags) in parsed))
        file: PackageWheel | PackageSdist
        if fitting:
            file = _allowed(package.name, fitting, target, lines)
        elif package.sdist and package.name in buildable:
            file = package.sdist
        else:
            raise CannotBuild(
                f"no wheel of '{package.name}=={package.version}' for {target}",
                hint=without_wheel(package.name),
            )
        yield Chosen(
            name=package.name,
            version=str(package.version or parse_wheel_filename(file.filename)[1]),
            file=file.filename,
            digest=_digest(file),
            size=file.size,
            url=file.url or "",
            index=index_of[package.name],
        )


def without_wheel(name: str) -> str:
    """A hint: what can be done about the package ``name``, of which there is no wheel."""
    return (
        "choose another version, package, python_version or platform, name an index that has a wheel with "
        "pip_extra_index_url, or let it be built where the image is built: "
        f"builder_options: {{taskimage: {{build_sdists: [{name}]}}}}"
    )


def _wheels(package: Package) -> Sequence[PackageWheel]:
    """The wheels to choose from: those of an index, or the one that is wanted by its address."""
    from packaging.pylock import PackageWheel

    archive = package.archive
    if archive is None:
        return package.wheels or ()
    return (PackageWheel(url=archive.url, size=archive.size, hashes=archive.hashes),)


def _allowed(
    name: str, wheels: Sequence[PackageWheel], target: Target, lines: Sequence[Line]
) -> PackageWheel:
    for line in lines:
        wheels = [one for one in wheels if not line.excludes(name, one.hashes.get("sha256", ""), target)]
        if not wheels:
            raise IntegrityError(
                f"no wheel of {name!r} for {target} has one of the hashes that are wanted",
                where=line.where, hint="make the hashes anew, for this platform as well",
            )  # fmt: skip
    return wheels[0]


def _digest(wheel: PackageWheel | PackageSdist) -> Digest:
    try:
        return Digest.parse(f"sha256:{wheel.hashes.get('sha256', '')}")
    except BadInput as error:
        raise CannotBuild(f"the index gives no sha256 for {wheel.filename!r}") from error
