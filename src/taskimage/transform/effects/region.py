"""What is chosen for a place in the world: time zone, locales to build, paper; Debian's defaults where nobody is asked."""

from __future__ import annotations

from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["local_time", "locale_list", "paper_size"]

_ZONE = "usr/share/zoneinfo/Etc/UTC"
_SUPPORTED = "usr/share/i18n/SUPPORTED"
_LOCALES = "etc/locale.gen"


def local_time(tree: Tree, *, below: Tree) -> tuple[Entry, ...]:
    """The local time, which is UTC where time zones are new and none is chosen."""
    if _ZONE not in tree or _ZONE in below or tree.get("etc/localtime") is not None:
        return ()
    return (
        Entry.symlink("etc/localtime", f"/{_ZONE}"),
        Entry.file("etc/timezone", b"Etc/UTC\n"),
    )


def locale_list(tree: Tree) -> tuple[Entry, ...]:
    """The locales that locale-gen could build, none of them chosen; nothing where a list is there."""
    supported = tree.read(_SUPPORTED)
    if supported is None or _LOCALES in tree:
        return ()
    names = sorted({line.strip() for line in supported.decode().splitlines() if line[:1].isalpha()})
    head = "# Take the mark away from the locales that are to be built, and run locale-gen.\n\n"
    return (Entry.file(_LOCALES, (head + "".join(f"# {name}\n" for name in names)).encode()),)


def paper_size(tree: Tree) -> tuple[Entry, ...]:
    """The paper of most of the world, where none is chosen."""
    return () if "etc/papersize" in tree else (Entry.file("etc/papersize", b"a4\n"),)
