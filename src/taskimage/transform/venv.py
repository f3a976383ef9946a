"""An empty virtual environment, as ``python -m venv --without-pip`` makes one (PEP 405), without running it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from taskimage.transform.entry import Entry, folders_of

__all__ = ["given_away", "venv_entries"]

_CONFIGURATION = """\
home = {home}
include-system-site-packages = {system_site}
version = {version}
executable = {python}
command = {python} -m venv --without-pip {options}/{prefix}
"""

_ACTIVATE = """\
# For a POSIX shell: `. /{prefix}/bin/activate`, and `deactivate` to undo it.
if [ -z "${{VIRTUAL_ENV:-}}" ]; then
    _TASKIMAGE_PATH="$PATH"
    export VIRTUAL_ENV="/{prefix}"
    export PATH="/{prefix}/bin:$PATH"
fi
deactivate() {{
    export PATH="$_TASKIMAGE_PATH"
    unset VIRTUAL_ENV _TASKIMAGE_PATH
    unset -f deactivate
}}
hash -r 2>/dev/null || true
"""


def venv_entries(
    prefix: str = "opt/venv", *, python: str, version: str, system_site: bool = False
) -> tuple[Entry, ...]:
    """The files of a venv at ``prefix`` of an image, sorted by path.

    Args:
        prefix: The folder, without a leading slash.
        python: The interpreter's absolute path in the image, links followed: its folder is where Python starts
            to look for the standard library (``home``), in /opt/conda as in /usr.
        version: Its three numbers.
        system_site: What the interpreter has installed itself can be imported too. A package that the venv has
            as well is imported from the venv; ``importlib.metadata.distributions()`` then lists both, the
            venv's first, and all that looks for a name finds that one. Programs that came with the interpreter
            keep its path in their first line, and see nothing of the venv.
    """
    minor = ".".join(version.split(".")[:2])
    values = {
        "home": posixpath.dirname(python), "version": version, "python": python, "prefix": prefix,
        "system_site": "true" if system_site else "false",
        "options": "--system-site-packages " if system_site else "",
    }  # fmt: skip
    folders = ("", "/bin", "/include", f"/include/python{minor}", "/lib", f"/lib/python{minor}")
    entries = [
        *(Entry.directory(prefix + folder) for folder in folders),
        Entry.directory(f"{prefix}/lib/python{minor}/site-packages"),
        Entry.symlink(f"{prefix}/lib64", "lib"),
        Entry.symlink(f"{prefix}/bin/python", python),
        Entry.symlink(f"{prefix}/bin/python3", "python"),
        Entry.symlink(f"{prefix}/bin/python{minor}", "python"),
        Entry.file(f"{prefix}/bin/activate", _ACTIVATE.format_map(values).encode()),
        Entry.file(f"{prefix}/pyvenv.cfg", _CONFIGURATION.format_map(values).encode()),
    ]
    return tuple(sorted(entries, key=lambda entry: entry.path))


def given_away(entries: Iterable[Entry], prefix: str, *, uid: int, gid: int) -> tuple[Entry, ...]:
    """``entries``, and all folders that they are in at ``prefix`` and below, which ``uid`` and group ``gid`` may write to."""
    paths = {entry.path: entry for entry in entries}
    folders = folders_of(paths) | {path for path, entry in paths.items() if entry.kind == "dir"}
    for path in folders:
        if f"{path}/".startswith(f"{prefix}/"):
            paths[path] = Entry.directory(path, 0o775, uid, gid)
    return tuple(paths[path] for path in sorted(paths))
