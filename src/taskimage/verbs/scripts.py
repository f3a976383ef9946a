"""Maintainer scripts that are not followed: run by dpkg in a sandbox, on top of all that is; what they change counts.

They see what they would see on a machine: the files of all packages, what the other scripts have done, and dpkg's
records, in which their packages are unpacked and wait to be configured. There is no network and no service.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from taskimage.adapters.changes import is_kept
from taskimage.adapters.rootfs import Unpackable
from taskimage.adapters.sandbox import Ended, Volume
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Done, Started, counted
from taskimage.model.oci import Platform
from taskimage.model.shown import ending
from taskimage.model.spec.builderoptions import waiving
from taskimage.model.value import dataclass
from taskimage.transform.deb import Deb
from taskimage.transform.effects.dpkg import ADMIN, record_name
from taskimage.transform.effects.leftout import is_left_out
from taskimage.transform.effects.scripts import Unhandled
from taskimage.transform.entry import Entry, folders_of
from taskimage.transform.layer import arranged
from taskimage.transform.whiteout import WHITEOUT
from taskimage.verbs.administration import administer, sandbox_for
from taskimage.verbs.tools import Tools

__all__ = ["Scripts", "merged"]

_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    # Programs that iterate over hashes, or write dates, do so as they did before.
    "PERL_HASH_SEED": "0",
    "PYTHONHASHSEED": "0",
    "FORCE_SOURCE_DATE": "1",
}
# Asked before a service is started (invoke-rc.d(8)): it may not be.
_POLICY = "#!/bin/sh\nexit 101\n"
_NOTHING = "#!/bin/sh\n"
# What scripts may count on without saying so (policy 3.8), in every suite.
_ESSENTIAL: Final = (
    "base-files", "base-passwd", "bash", "bsdutils", "coreutils", "dash", "debianutils", "diffutils", "dpkg",
    "findutils", "grep", "gzip", "hostname", "init-system-helpers", "libc-bin", "login", "ncurses-base", "ncurses-bin",
    "perl-base", "sed", "sysvinit-utils", "tar", "util-linux",
)  # fmt: skip
_CONFIGURE = "exec dpkg --force-unsafe-io --force-confold --abort-after=1 --configure --pending\n"
_FAILED = re.compile(r"error processing package (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """The scripts of ``debs`` that are not followed, and have to be run; none of ``waived`` packages is."""

    tools: Tools
    platform: Platform
    debs: Sequence[Deb]
    unfollowed: Sequence[Unhandled]
    waived: Collection[str]
    stopped: Callable[[], bool]

    @contextlib.contextmanager
    def run(
        self, below: Sequence[Unpackable], there: Collection[str], made: Sequence[Entry]
    ) -> Iterator[tuple[Entry, ...]]:
        """What lies above the packages once the scripts have run; the bytes are there until the block ends.

        Args:
            below: The layers of a base image, the lowest first.
            there: The paths that the base and the packages have.
            made: What lies above them before.

        Raises:
            CannotBuild: There is no sandbox, or a script fails.
        """
        try:
            sandbox = sandbox_for(self.platform)
        except CannotBuild as error:
            raise self._error(f"cannot be run here: {error.message}", error.hint) from error

        layers: list[Unpackable] = [*below]
        layers += [arranged([entries]) for entries in (*(deb.entries for deb in self.debs), made)]

        names = counted(len(self._packages), "package")
        self.tools.listener(Started("scripts", f"Running the maintainer scripts of {names}"))
        with administer(self.tools, sandbox, layers) as image:
            ended, said, changed = image.run(
                ["/bin/sh", "-c", self._driver()],
                _ENVIRONMENT,
                volumes=self._replaced(image.folder),
                kept=lambda path: is_kept(path) and not is_left_out(path),
                stopped=self.stopped,
            )
            self._expect_done(ended, said, _missing(image.root))
            self.tools.listener(Done("scripts", f"Ran the maintainer scripts of {names}"))
            yield merged(made, changed, there)

    @property
    def _packages(self) -> list[str]:
        return list(dict.fromkeys(one.package for one in self.unfollowed))

    def _replaced(self, folder: Path) -> Iterator[Volume]:
        """Programs of ours in the place of the image's."""
        shown = {"/usr/sbin/policy-rc.d": _POLICY}
        for deb in self.debs:
            if deb.package in self.waived and "postinst" in deb.scripts:
                # A trigger would start it too.
                shown[f"/{ADMIN}/info/{record_name(deb)}.postinst"] = _NOTHING
        for number, (target, text) in enumerate(shown.items()):
            program = folder / f"program{number}"
            program.write_text(text)
            program.chmod(0o755)
            yield Volume(program, target, read_only=True)

    def _driver(self) -> str:
        """A shell script that calls preinst as dpkg would have, and leaves the rest to dpkg."""
        wanted = {one.package for one in self.unfollowed if one.script == "preinst"}
        preinsts = [_preinst(deb) for deb in self.debs if deb.package in wanted]
        return "".join([*preinsts, _CONFIGURE])

    def _expect_done(self, ended: Ended, said: str, missing: Sequence[str]) -> None:
        if ended.reason:
            raise self._error(f"cannot be run: {ended.reason}", None)
        if ended.code == 0:
            return
        failed = _FAILED.search(said)
        names = [failed[1].partition(":")[0]] if failed else self._packages
        ways = [waiving(names)]
        if missing:
            ways.insert(
                0,
                "scripts count on packages that every Debian system has, of which the image lacks some: "
                f"apt_packages: [{', '.join(missing)}]",
            )
        message = f"{', '.join(names)}: maintainer scripts ended with exit code {ended.code}"
        raise CannotBuild(ending(message, said), hint="; or ".join(ways))

    def _error(self, why: str, hint: str | None) -> CannotBuild:
        reasons: dict[tuple[str, str], list[str]] = {}
        for one in self.unfollowed:
            reasons.setdefault((one.package, one.script), []).append(one.reason)
        shown = "".join(
            f"\n  {package}: its {script} {'; '.join(parts)}" for (package, script), parts in reasons.items()
        )
        ways = "; or ".join(filter(None, (hint, waiving(self._packages))))
        return CannotBuild(f"these maintainer scripts {why}{shown}", hint=ways)


def _preinst(deb: Deb) -> str:
    """Shell commands that call the preinst of ``deb`` (policy 6.5); its files are there already."""
    words = {
        "DPKG_MAINTSCRIPT_PACKAGE": deb.package,
        "DPKG_MAINTSCRIPT_ARCH": deb.architecture,
        "DPKG_MAINTSCRIPT_NAME": "preinst",
        "DPKG_ADMINDIR": f"/{ADMIN}",
        "DPKG_ROOT": "",
    }
    name, variables = record_name(deb), shlex.join(f"{key}={value}" for key, value in words.items())
    # The version that was configured before; there is none where the package is new.
    return f"""\
before=$(dpkg-query --showformat='${{Config-Version}}' --show {name})
env {variables} /{ADMIN}/info/{name}.preinst ${{before:+upgrade}} ${{before:-install}} ${{before:+{deb.version}}} || {{
    echo 'error processing package {deb.package} (preinst)'
    exit 1
}}
"""


def _missing(root: Path) -> list[str]:
    there = {
        path.name.partition(":")[0].removesuffix(".list") for path in (root / ADMIN / "info").glob("*.list")
    }
    return [name for name in _ESSENTIAL if name not in there]


def merged(made: Sequence[Entry], changed: Sequence[Entry], there: Collection[str]) -> tuple[Entry, ...]:
    """``made`` with what was ``changed`` above it, as one layer on what is ``there``."""
    entries = {entry.path: entry for entry in made}
    folders = folders_of(entries)
    for entry in changed:
        folder, _, name = entry.path.rpartition("/")
        is_gone = name.startswith(WHITEOUT)
        victim = posixpath.join(folder, name.removeprefix(WHITEOUT)) if is_gone else entry.path
        entries.pop(victim, None)
        if victim in folders and entry.kind != "dir":
            for path in [path for path in entries if path.startswith(f"{victim}/")]:
                del entries[path]
        if not is_gone or victim in there:
            entries[entry.path] = entry
    return tuple(entries[path] for path in sorted(entries))
