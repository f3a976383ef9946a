"""Follows the maintainer scripts of packages (deb-preinst(5), deb-postinst(5)), and says which it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from taskimage.model.value import dataclass
from taskimage.transform.deb import Deb
from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.alternatives import Choice
from taskimage.transform.effects.commands import SHELL_SCRIPT, TEMPORARY, Commands
from taskimage.transform.effects.shell.host import Host
from taskimage.transform.effects.shell.interpreter import Interpreter
from taskimage.transform.effects.shell.nodes import ShellSyntaxError
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["Followed", "Script", "Unhandled", "follow_scripts"]

Script: TypeAlias = tuple[str, str]
"""The name of a package, and that of a script of its."""

# What these do is made by the other modules here (accounts, certificates, regional settings, caches, bytecode), or
# is about upgrades and running systems alone.
_ELSEWHERE = re.compile(
    r"base-passwd|ca-certificates(-java)?|dash|debconf|libc6|libpaper1|locales|(lib)?python3\.\d+(-minimal|-stdlib)?|passwd|tzdata"
)
_TEMPLATE = re.compile(r"^(Template|Default): *(.*?) *$", re.MULTILINE)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True, order=True)
class Unhandled:
    """A maintainer script of which a part is not understood: ``reason`` says which part."""

    package: str
    script: str
    reason: str


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of the scripts: files, links that are gone, choices of alternatives, and what was not understood."""

    entries: tuple[Entry, ...]
    removed: frozenset[str]
    choices: tuple[Choice, ...]
    unknown: tuple[Unhandled, ...]


def follow_scripts(
    debs: Sequence[Deb],
    before: Tree,
    tree: Tree,
    accounts: Accounts,
    *,
    architecture: str,
    replaced: Mapping[str, str],
    left: Collection[Script] = (),
) -> Followed:
    """What preinst and postinst of ``debs`` do; both trees and ``accounts`` take part.

    ``before`` is what there is before anything is unpacked, and ``replaced`` has the versions that some of
    ``debs`` replace; the others are installed for the first time. ``architecture`` is the image's, by Debian's
    name. Scripts that are ``left`` are passed over. The order of ``debs`` does not matter.
    """
    followed = [deb for deb in _configuration_order(debs) if not _ELSEWHERE.fullmatch(deb.package)]
    first = Commands(before, accounts, architecture=architecture)
    after = Commands(tree, accounts, architecture=architecture)

    def run_all(commands: Commands, script: str) -> list[Unhandled]:
        return [
            reason
            for deb in followed
            if (deb.package, script) not in left
            for reason in _run_all(deb, commands, script, replaced, is_shared=partial(_is_shared, debs, deb))
        ]

    unknown = run_all(first, "preinst")
    for entry in first.files.made.values():
        tree.add(entry)
    unknown += run_all(after, "postinst")
    made = {**first.files.made, **after.files.made}
    return Followed(
        entries=tuple(entry for path, entry in made.items() if not path.startswith(TEMPORARY)),
        removed=frozenset(after.files.removed),
        choices=(*first.choices, *after.choices),
        unknown=tuple(sorted(unknown)),
    )


def _configuration_order(debs: Iterable[Deb]) -> list[Deb]:
    """Each package after those that it depends on, as dpkg configures them; else by name."""
    by_name = {deb.package: deb for deb in sorted(debs, key=lambda deb: (deb.package, deb.architecture))}
    ordered: dict[str, Deb] = {}
    waiting: set[str] = set()
    todo = [(name, False) for name in reversed(by_name)]
    while todo:
        name, is_ready = todo.pop()
        if is_ready:
            ordered.setdefault(name, by_name[name])
        elif name not in waiting:
            waiting.add(name)
            needs = _needs(by_name[name])
            todo.append((name, True))
            todo += [(need, False) for need in sorted(needs, reverse=True) if need in by_name]
    return list(ordered.values())


def _needs(deb: Deb) -> set[str]:
    """The names in Depends and Pre-Depends, all alternatives; essential packages need base-files first."""
    groups = ",".join((deb.control.get("Depends", ""), deb.control.get("Pre-Depends", ""))).replace("|", ",")
    names = {match[0] for part in groups.split(",") if (match := _PACKAGE.match(part.strip()))}
    return names | {"base-files", "base-passwd"}


def _is_shared(debs: Sequence[Deb], deb: Deb, path: str) -> bool:
    """Whether another package than ``deb`` has a file at ``path``."""
    others = (other for other in debs if other.package != deb.package)
    return any(entry.path == path.lstrip("/") for other in others for entry in other.entries)


def _run_all(
    deb: Deb,
    commands: Commands,
    script: str,
    replaced: Mapping[str, str],
    *,
    is_shared: Callable[[str], bool],
) -> Iterator[Unhandled]:
    """Run ``script`` of ``deb``, if it has one, as dpkg calls it (policy 6.5)."""
    if script not in deb.scripts:
        return
    before = replaced.get(deb.package, "")
    commands.begin(_defaults(deb), is_shared=is_shared)
    if script == "preinst":
        _run(deb, commands, script, ("upgrade", before, deb.version) if before else ("install",))
    else:
        if "config" in deb.scripts:
            _run(deb, commands, "config", ("configure", before))
        _run(deb, commands, script, ("configure", before))
    for reason in dict.fromkeys(commands.reasons):
        yield Unhandled(deb.package, script, reason)


def _defaults(deb: Deb) -> dict[str, str | None]:
    """What debconf answers when nobody is asked (debconf-devel(7)): the defaults of the package's templates."""
    templates = deb.scripts.get("templates", b"").decode("utf-8", "replace")
    fields = [dict(_TEMPLATE.findall(paragraph)) for paragraph in templates.split("\n\n")]
    return {field["Template"]: field.get("Default", "") for field in fields if "Template" in field}


def _run(deb: Deb, commands: Commands, script: str, arguments: Sequence[str]) -> None:
    text = deb.scripts[script].decode("utf-8", "replace")
    first = text.partition("\n")[0]
    if not SHELL_SCRIPT.match(first):
        commands.reasons.append(f"is no shell script: {first:.80}")
        return
    variables = {
        "DPKG_MAINTSCRIPT_PACKAGE": deb.package,
        "DPKG_MAINTSCRIPT_ARCH": deb.architecture,
        "DPKG_MAINTSCRIPT_NAME": script,
        "DPKG_ADMINDIR": "/var/lib/dpkg",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    shell = Interpreter(
        Host(commands.run, commands.write, commands.files.tree.glob), (f"/{script}", *arguments), variables
    )
    try:
        shell.run_script(text)
    except ShellSyntaxError as error:
        commands.reasons.append(f"is not understood: {error}")
