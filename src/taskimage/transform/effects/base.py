"""What every image has around its packages: the merged /usr, system directories, login shells."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from taskimage.transform.deb.layout import MERGED
from taskimage.transform.directories import MODES
from taskimage.transform.effects.accounts import User
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["directories", "login_shells", "system_links"]

_ALWAYS_MERGED = ("bin", "lib", "sbin")
_DIRECTORIES = ("dev", "etc", "home", "opt", "proc", "root", "run", "sys", "tmp", "var/tmp")
_SHELLS = "usr/share/debianutils/shells"
_STATE = "var/lib/shells.state"


def system_links(tree: Tree) -> tuple[Entry, ...]:
    """The links of the merged /usr, and the old names of /run."""
    merged = [name for name in MERGED if name in _ALWAYS_MERGED or tree.names(f"usr/{name}")]
    links = {name: f"usr/{name}" for name in merged} | {"var/run": "/run", "var/lock": "/run/lock"}
    return tuple(Entry.symlink(path, target) for path, target in links.items())


def directories(tree: Tree, users: Iterable[User], *, below: Tree) -> tuple[Entry, ...]:
    """The directories that are there before any file is, with the modes that all layers agree on.

    What a base has ``below`` stays as it is, apart from the homes and /root, which a user has to write to.
    """
    modes = dict.fromkeys(_DIRECTORIES, (493, 0, 0))
    pythons = {match[0] for path in tree.names("usr/lib") if (match := re.fullmatch(r"python3\.\d+", path))}
    modes |= {f"usr/local/lib/{python}/dist-packages": (0o755, 0, 0) for python in pythons}
    if "usr/share/ca-certificates" in tree:
        modes["usr/local/share/ca-certificates"] = (0o755, 0, 0)
    # Group 0 may write at home, so that a user with any number and that group can.
    homes = {user.home.strip("/"): (0o775, user.uid, user.gid) for user in users}
    modes |= homes
    modes |= {path: mode for path, mode in MODES.items() if path in _DIRECTORIES or path in tree}
    own = {*homes, "root"} if homes else set()
    return tuple(
        Entry.directory(tree.real_path(path) or path, *mode)
        for path, mode in modes.items()
        if path in own or path not in below
    )


def login_shells(tree: Tree, *, below: Tree) -> tuple[Entry, ...]:
    """/etc/shells as debianutils' update-shells makes it: each shell by its name and by its real path.

    That of a base ``below`` keeps its lines, and gets those that are new.
    """
    if _SHELLS not in tree:
        return ()
    template = (tree.read(_SHELLS) or b"").decode()
    files = [
        template,
        *((tree.read(f"{_SHELLS}.d/{name}") or b"").decode() for name in tree.names(f"{_SHELLS}.d")),
    ]
    shells: dict[str, None] = {}
    for line in "".join(files).splitlines():
        shell = line.partition("#")[0].strip()
        if shell:
            folder, name = posixpath.split(shell)
            shells |= {shell: None, f"/{tree.real_path(folder)}/{name}": None}
    has_own = "etc/shells" in below
    listed = ((tree.read("etc/shells") or b"").decode() if has_own else template).splitlines()
    known = {*listed, *(below.read(_STATE) or b"").decode().splitlines()}
    added = [shell for shell in shells if shell not in known]
    return (
        Entry.file("etc/shells", "".join(f"{line}\n" for line in (*listed, *added)).encode()),
        Entry.file(_STATE, "".join(f"{shell}\n" for shell in shells).encode()),
    )
