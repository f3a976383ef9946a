"""Alternatives: which package's program stands under a shared name (update-alternatives(1))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from taskimage.model.value import dataclass
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["Choice", "alternative_links", "parse_install"]

LINKS = "etc/alternatives"
RECORDS = "var/lib/dpkg/alternatives"
AUTOMATIC = "auto"
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

    Those that ``tree`` has a record of already count too, and one that was chosen by hand stays. A choice
    whose file is not in ``tree`` is none; a slave whose file is missing is recorded, not linked.
    """
    groups: dict[str, dict[str, Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.name, {})[choice.path] = choice
    entries: list[Entry] = []
    for name, added in sorted(groups.items()):
        mode, known = _recorded(name, tree)
        by_path = {path: item for path, item in sorted((known | added).items()) if path in tree}
        if not by_path:
            continue
        best = max(by_path.values(), key=lambda choice: choice.priority)
        if mode == AUTOMATIC:
            entries += _links(best.link, name, best.path, tree)
            for link, slave, path in best.slaves:
                if path in tree:
                    entries += _links(link, slave, path, tree)
        record = _record(mode, best.link, tuple(by_path.values()))
        entries.append(Entry.file(f"{RECORDS}/{name}", record.encode()))
    return tuple(entries)


def _links(link: str, name: str, path: str, tree: Tree) -> list[Entry]:
    place = tree.place(link)
    return [
        *([Entry.symlink(place, f"/{LINKS}/{name}")] if place else []),
        Entry.symlink(f"{LINKS}/{name}", path),
    ]


def _recorded(name: str, tree: Tree) -> tuple[str, dict[str, Choice]]:
    """How the choice of ``name`` is made, and the choices, as a record of `_record`'s form has them."""
    text = (tree.read(f"{RECORDS}/{name}") or b"").decode("utf-8", "replace")
    head, _, body = text.partition("\n\n")
    mode, *links = head.split("\n") if head else [AUTOMATIC]
    slaves = list(zip(links[1::2], links[2::2], strict=False))
    lines = body.split("\n")
    choices: dict[str, Choice] = {}
    for at in range(0, len(lines), 2 + len(slaves)):
        path, priority, *paths = lines[at : at + 2 + len(slaves)] if lines[at] else ("", "")
        if path and _PRIORITY.fullmatch(priority):
            given = [(link, slave, to) for (slave, link), to in zip(slaves, paths, strict=False) if to]
            choices[path] = Choice(links[0], name, path, int(priority), tuple(given))
    return mode, choices


def _record(mode: str, link: str, choices: Sequence[Choice]) -> str:
    slaves = dict(sorted((slave, at) for choice in choices for at, slave, _ in choice.slaves))
    lines = [mode, link]
    for slave, at in slaves.items():
        lines += [slave, at]
    lines.append("")
    for choice in choices:
        paths = {slave: path for _, slave, path in choice.slaves}
        lines += [choice.path, str(choice.priority), *(paths.get(slave, "") for slave in slaves)]
    return "\n".join((*lines, "", ""))
