"""py-rattler, which solves environments. It is imported when something is solved, and is an extra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskimage.adapters.conda.channels import FIRST, Channel, scrubbed
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, CannotBuild, Unreachable
from taskimage.model.lock import CondaPin
from taskimage.model.oci import Platform

if TYPE_CHECKING:
    from rattler import GenericVirtualPackage, RepoDataRecord

__all__ = ["default_root", "is_of_python", "pin_of", "solve", "subdir_of"]

# conda's names of platforms (CEP 26), and of processors in `__archspec` (CEP 30).
_SUBDIRS: Final = {
    "amd64": ("linux-64", "x86_64"), "arm64": ("linux-aarch64", "aarch64"),
    "ppc64le": ("linux-ppc64le", "ppc64le"), "386": ("linux-32", "x86"), "s390x": ("linux-s390x", "s390x"),
    "riscv64": ("linux-riscv64", "riscv64"),
}  # fmt: skip


def subdir_of(platform: Platform) -> str:
    """The folder of a channel that has packages for ``platform``. Raises CannotBuild when there is none."""
    if platform.architecture not in _SUBDIRS:
        wanted = ", ".join(f"linux/{name}" for name in _SUBDIRS)
        raise CannotBuild(f"conda has no packages for {str(platform)!r}; wanted one of {wanted}")
    return _SUBDIRS[platform.architecture][0]


def default_root() -> str:
    """Where channels are that are known by their names alone, without a slash at the end."""
    _check_installed()
    from rattler import Channel as RattlerChannel

    return RattlerChannel(FIRST).base_url.rstrip("/").removesuffix(f"/{FIRST}")


def solve(
    specs: Sequence[str],
    known: Sequence[Channel],
    *,
    platform: Platform,
    glibc: tuple[int, int],
    cuda: str | None,
    cache: Path,
    keep: Sequence[CondaPin] = (),
) -> list[tuple[RepoDataRecord, str]]:
    """The packages of an environment that has ``specs``, each with the alias of its channel.

    Args:
        specs: Match specifications, as conda has them.
        known: The channels, with their addresses; a package is taken from the first that has its name.
        platform: What the environment is for.
        glibc: The version of the C library that it will run on.
        cuda: The version of CUDA that packages may count on.
        cache: A folder for what channels list.
        keep: Packages that are preferred where they serve.

    Raises:
        BadInput: One of ``specs`` is no match specification.
        CannotBuild: There is no such environment, or no py-rattler.
        Unreachable: A channel does not answer.
    """
    _check_installed()
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    import rattler
    from rattler import exceptions

    sources = [rattler.Channel(str(channel.url)) for channel in known]
    subdir = rattler.Subdir(subdir_of(platform))

    gateway = rattler.Gateway(cache_dir=cache)
    platforms = [subdir, rattler.Subdir("noarch")]

    async def solved() -> list[RepoDataRecord]:
        files = {(pin.file, pin.digest.hex) for pin in keep}
        names = sorted(pin.name for pin in keep)
        # Every build of these names.
        found = await gateway.query(sources, platforms, names, recursive=False, channel_relations="disabled")
        return await rattler.solve(
            sources,
            specs,
            gateway=gateway,
            platforms=platforms,
            locked_packages=[one for some in found for one in some if (one.file_name, _hex(one)) in files],
            virtual_packages=list(_virtual(platform, glibc, cuda)),
            # What is asked is what the spec names, and nothing that a channel adds.
            channel_relations="disabled",
        )

    try:
        # In a thread of its own: whoever calls may be in an event loop already.
        with ThreadPoolExecutor(1) as pool:
            records = pool.submit(asyncio.run, solved()).result()
    except exceptions.InvalidMatchSpecError as error:
        raise BadInput(f"conda_packages has what is no match specification: {error}") from error
    except exceptions.SolverError as error:
        names = ", ".join(channel.alias for channel in known)
        raise CannotBuild(
            f"the channels {names} have no environment of {', '.join(map(repr, specs))} for {platform}: {str(error).strip()}",
            hint="ask for other versions, or name the channel that has the package in conda_channels",
        ) from error
    except exceptions.GatewayError as error:
        raise Unreachable(
            f"a conda channel cannot be read: {scrubbed(str(error), known)}",
            hint="conda_channels wants names, such as bioconda, and https:// or file:// addresses; "
            "CONDA_CHANNEL_ALIAS is where names are looked for",
        ) from error
    # A record's channel has stars for secrets; its address is as it was asked for.
    folders = {
        f"{source.base_url}{name}/": channel.alias
        for source, channel in zip(sources, known, strict=True)
        for name in (str(subdir), "noarch")
    }
    return [(record, folders[record.url.removesuffix(record.file_name)]) for record in records]


def pin_of(record: RepoDataRecord, alias: str) -> CondaPin:
    """What a lock says of ``record``. Raises CannotBuild for one that cannot be locked."""
    file, subdir = record.file_name, record.subdir
    if record.sha256 is None or record.size is None:
        raise CannotBuild(f"{file!r} has no sha256 or no size in the channel {alias!r}: it cannot be locked")
    if not re.fullmatch(r"[^/\\]+\.(?:conda|tar\.bz2)", file) or not re.fullmatch(r"[a-z0-9-]+", subdir):
        raise CannotBuild(f"{file!r:.200} in {subdir!r:.80} of the channel {alias!r} is no conda package")
    return CondaPin(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        channel=alias,
        subdir=subdir,
        file=file,
        size=record.size,
        digest=Digest("sha256", _hex(record)),
    )


def _hex(record: RepoDataRecord) -> str:
    return record.sha256.hex() if record.sha256 else ""


def is_of_python(record: RepoDataRecord) -> bool:
    """Whether the package brings something for the environment's Python."""
    return any(re.match(r"python(?:_abi)?(?:\s|$)", need) for need in record.depends)


def _virtual(platform: Platform, glibc: tuple[int, int], cuda: str | None) -> Iterator[GenericVirtualPackage]:
    """What the image has that is no package of conda's (CEP 30)."""
    from rattler import BuildString, GenericVirtualPackage, PackageName, Version

    facts = {
        "__unix": ("0", "0"),
        "__linux": ("0", "0"),
        "__glibc": ("{}.{}".format(*glibc), "0"),
        "__archspec": ("1", _SUBDIRS[platform.architecture][1]),
    }
    if cuda:
        facts["__cuda"] = (cuda, "0")
    for name, (version, build) in facts.items():
        yield GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


def _check_installed() -> None:
    try:
        import rattler  # noqa: F401 - is it there?
    except ImportError as error:
        raise CannotBuild(
            "conda packages need py-rattler, which is not installed", hint="install 'taskimage[conda]'"
        ) from error
