"""Programs of packages that make or change configuration: Graphviz, PAM, git-lfs, unixODBC, GLib."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from taskimage.transform.effects.file_commands import Files, NotUnderstood
from taskimage.transform.effects.graphviz import plugin_lists
from taskimage.transform.effects.pam import pam_stacks
from taskimage.transform.entry import Entry

__all__ = ["PROGRAM_COMMANDS"]

_LFS = """\
[filter "lfs"]
	clean = git-lfs clean -- %f
	smudge = git-lfs smudge -- %f
	process = git-lfs filter-process
	required = true
"""


def _graphviz(files: Files, _words: Sequence[str]) -> bool:
    lists = plugin_lists(files.tree)
    if lists is None:
        raise NotUnderstood
    return _make(files, lists)


def _pam(files: Files, _words: Sequence[str]) -> bool:
    stacks = pam_stacks(files.tree)
    # What a base has may have been changed by hand.
    if any(stack.path in files.tree and stack.path not in files.made for stack in stacks):
        raise NotUnderstood
    return _make(files, stacks)


def _git(files: Files, words: Sequence[str]) -> bool:
    if words[:2] != ["lfs", "install"] or "--system" not in words:
        raise NotUnderstood
    before = (files.tree.read("etc/gitconfig") or b"").decode("utf-8", "surrogateescape")
    if '[filter "lfs"]' in before:
        return True
    return _append(files, "etc/gitconfig", _LFS)


def _odbc(files: Files, words: Sequence[str]) -> bool:
    if words[:3] != ["-i", "-d", "-f"] or len(words) != 4:
        raise NotUnderstood
    drivers = configparser.RawConfigParser()
    drivers.optionxform = str  # type: ignore[assignment, method-assign]
    known = configparser.RawConfigParser(strict=False)
    try:
        drivers.read_string((files.tree.read(words[3]) or b"").decode())
        known.read_string((files.tree.read("etc/odbcinst.ini") or b"").decode())
    except (configparser.Error, ValueError) as error:
        raise NotUnderstood from error
    for name in drivers.sections():
        if known.has_section(name):
            raise NotUnderstood
        rows = "".join(f"{key}={value}\n" for key, value in drivers.items(name))
        _append(files, "etc/odbcinst.ini", f"[{name}]\n{rows}UsageCount=1\n\n")
    return True


def _schemas(files: Files, words: Sequence[str]) -> bool:
    # Without schemas there is nothing to compile.
    if len(words) != 1 or files.tree.glob(f"{words[0]}/*.gschema.xml"):
        raise NotUnderstood
    return True


def _find(_files: Files, words: Sequence[str]) -> bool:
    # Packages ship no empty folder only to have it taken away.
    if words[-2:] != ["-empty", "-delete"]:
        raise NotUnderstood
    return True


def _append(files: Files, path: str, text: str) -> bool:
    before = files.tree.read(path) or b""
    return _make(files, [files.tree.rewritten(path, before + text.encode())])


def _make(files: Files, entries: Sequence[Entry]) -> bool:
    for entry in entries:
        files.make(entry)
    return True


PROGRAM_COMMANDS: Final[Mapping[str, Callable[[Files, Sequence[str]], bool]]] = {
    "libgvc6-config-update": _graphviz, "pam-auth-update": _pam, "git": _git, "odbcinst": _odbc,
    "glib-compile-schemas": _schemas, "find": _find,
}  # fmt: skip
