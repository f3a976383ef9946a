"""Alternatives: which package's program stands under a shared name (update-alternatives(1))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from taskimage.transform.deb.data import merged
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["Choice", "alternative_links", "parse_install"]

LINKS = "etc/alternatives"
RECORDS = "var/lib/dpkg/alternatives"
# An absolute link, a name that can be a file's, an absolute path.
_LINK = re.compile(r"/[^\s\0]+\n[^\s\0/.][^\s\0/]*\n/[^\s\0]+")
_PRIORITY = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One ``--install link name path priority``; ``slaves`` are (link, name, path), which follow it."""

    link: str
    name: str
    path: str
    priority: int
    slaves: tuple[tuple[str, str, str], ...] = ()


def parse_install(arguments: Sequence[str]) -> Choice | None:
    """The choice that the arguments of update-alternatives state, or None for another action."""
    words = [word for word in arguments if word not in ("--quiet", "--verbose", "--force")]
    if len(words) < 5 or words[0] != "--install":
        return None
    slaves: list[tuple[str, str, str]] = []
    for i in range(5, len(words), 4):
        if words[i] != "--slave" or len(words) < i + 4:
            return None
        slaves.append((words[i + 1], words[i + 2], words[i + 3]))
    links = [(words[1], words[2], words[3]), *slaves]
    if not all(_LINK.fullmatch("\n".join(link)) for link in links) or not _PRIORITY.fullmatch(words[4]):
        return None
    return Choice(words[1], words[2], words[3], int(words[4]), tuple(slaves))


def alternative_links(choices: Iterable[Choice], tree: Tree) -> tuple[Entry, ...]:
    """The links of each alternative's best choice, and the records that dpkg keeps of all choices.

    A choice whose file is not in ``tree`` is none; a slave whose file is missing is recorded, not linked.
    """
    groups: dict[str, dict[str, Choice]] = {}
    for choice in choices:
        if choice.path in tree:
            groups.setdefault(choice.name, {})[choice.path] = choice
    entries: list[Entry] = []
    for name, by_path in sorted(groups.items()):
        best = max(by_path.values(), key=lambda choice: choice.priority)
        entries += _links(best.link, name, best.path)
        for link, slave, path in best.slaves:
            if path in tree:
                entries += _links(link, slave, path)
        record = _record(best.link, [by_path[path] for path in sorted(by_path)])
        entries.append(Entry.file(f"{RECORDS}/{name}", record.encode()))
    return tuple(entries)


def _links(link: str, name: str, path: str) -> list[Entry]:
    return [
        Entry.symlink(merged(posixpath.normpath(link).lstrip("/")), f"/{LINKS}/{name}"),
        Entry.symlink(f"{LINKS}/{name}", path),
    ]


def _record(link: str, choices: Sequence[Choice]) -> str:
    slaves = dict(sorted((slave, at) for choice in choices for at, slave, _ in choice.slaves))
    lines = ["auto", link]
    for slave, at in slaves.items():
        lines += [slave, at]
    lines.append("")
    for choice in choices:
        paths = {slave: path for _, slave, path in choice.slaves}
        lines += [choice.path, str(choice.priority), *(paths.get(slave, "") for slave in slaves)]
    return "\n".join((*lines, "", ""))
