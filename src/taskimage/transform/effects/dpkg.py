"""dpkg's own records of what is installed (dpkg(1), FILES), by which scanners and package managers go."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from taskimage.transform.deb import Deb
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["package_records"]

ADMIN = "var/lib/dpkg"
# A trigger with a name has a file of that name, beside dpkg's own (deb-triggers(5)).
_TRIGGER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_OWN = ("File", "Lock", "Unincorp")
_SCRIPTS = ("config", "postinst", "postrm", "preinst", "prerm")
# The order in which dpkg writes fields to its status file; those that it does not know follow.
_ORDER = (
    "Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size", "Origin", "Maintainer",
    "Bugs", "Architecture", "Multi-Arch", "Source", "Version", "Replaces", "Provides", "Depends", "Pre-Depends",
    "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles", "Description",
)  # fmt: skip


def package_records(debs: Sequence[Deb], tree: Tree) -> tuple[Entry, ...]:
    """The status file, and each package's list, checksums, scripts and triggers.

    Lists and checksums name the files that are in the image: documentation that was left out is no file
    that `dpkg --verify` should miss.
    """
    ordered = sorted(debs, key=lambda deb: (deb.package, deb.architecture))
    status = "".join(f"{_status(deb, tree)}\n" for deb in ordered)
    entries = [
        Entry.file(f"{ADMIN}/status", status.encode()),
        Entry.file(f"{ADMIN}/info/format", b"1\n"),
        *(entry for deb in ordered for entry in _info(deb)),
        *_triggers(ordered),
    ]
    return tuple(entries)


def _name(deb: Deb) -> str:
    """How dpkg names a package where two architectures of it can be installed."""
    same = deb.control.get("Multi-Arch") == "same"
    return f"{deb.package}:{deb.architecture}" if same else deb.package


def _status(deb: Deb, tree: Tree) -> str:
    fields = {**deb.control, "Status": "install ok installed"}
    if conffiles := _conffiles(deb, tree):
        fields["Conffiles"] = conffiles
    known = [name for name in _ORDER if name in fields]
    others = [name for name in fields if name not in _ORDER]
    return "".join(
        f"{name}:{'' if fields[name][:1] == chr(10) else ' '}{fields[name]}\n" for name in (*known, *others)
    )


def _conffiles(deb: Deb, tree: Tree) -> str:
    lines = []
    for line in deb.scripts.get("conffiles", b"").decode("utf-8", "replace").splitlines():
        # A line may begin with a flag, "remove-on-upgrade", and then names no file of this version.
        flag, _, path = line.rpartition(" ")
        if flag:
            lines.append(f"\n {path} newconffile {flag}")
        elif (data := tree.read(path)) is not None:
            lines.append(f"\n {path} {_md5(data)}")
    return "".join(lines)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _info(deb: Deb) -> list[Entry]:
    name = f"{ADMIN}/info/{_name(deb)}"
    entries = [Entry.file(f"{name}.list", "".join(f"{path}\n" for path in deb.files).encode())]
    for script, data in sorted(deb.scripts.items()):
        kept = _kept_sums(deb, data) if script == "md5sums" else data
        entries.append(Entry.file(f"{name}.{script}", kept, 0o755 if script in _SCRIPTS else 0o644))
    return entries


def _kept_sums(deb: Deb, data: bytes) -> bytes:
    kept = {path.lstrip("/").encode() for path in deb.files}
    return b"".join(line for line in data.splitlines(keepends=True) if line.rstrip(b"\n")[34:] in kept)


def _triggers(debs: Iterable[Deb]) -> list[Entry]:
    """Who is interested in which trigger (deb-triggers(5)): paths in one file, names in one each."""
    files: list[str] = []
    named: dict[str, list[str]] = defaultdict(list)
    for deb in debs:
        for line in deb.scripts.get("triggers", b"").decode("utf-8", "replace").splitlines():
            directive, _, trigger = line.partition("#")[0].strip().partition(" ")
            if not directive.startswith("interest"):
                continue
            who = _name(deb) + ("/noawait" if directive.endswith("-noawait") else "")
            if trigger.startswith("/"):
                files.append(f"{trigger} {who}\n")
            elif _TRIGGER.fullmatch(trigger) and trigger not in _OWN:
                named[trigger].append(f"{who}\n")
    folder = f"{ADMIN}/triggers"
    return [
        Entry.file(f"{folder}/File", "".join(files).encode()),
        Entry.file(f"{folder}/Unincorp", b""),
        *(Entry.file(f"{folder}/{name}", "".join(who).encode()) for name, who in sorted(named.items())),
    ]
