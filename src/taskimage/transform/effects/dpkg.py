"""dpkg's own records of what is installed (dpkg(1), FILES), by which scanners and package managers go."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from taskimage.model.value import dataclass
from taskimage.transform.deb import Deb
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["ADMIN", "Recorded", "package_records", "record_name", "recorded"]

ADMIN = "var/lib/dpkg"
# A trigger with a name has a file of that name, beside dpkg's own (deb-triggers(5)).
_TRIGGER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_OWN = ("File", "Lock", "Unincorp")
_FIELDS = ("Package", "Architecture", "Version", "Status")
_SCRIPTS = ("config", "postinst", "postrm", "preinst", "prerm")
# The order in which dpkg writes fields to its status file; those that it does not know follow.
_ORDER = (
    "Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size", "Origin", "Maintainer",
    "Bugs", "Architecture", "Multi-Arch", "Source", "Version", "Config-Version", "Replaces", "Provides", "Depends", "Pre-Depends",
    "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles", "Description",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """A package in the status file of a base; ``text`` is its paragraph, without the line end that ends it."""

    package: str
    architecture: str
    version: str
    status: str
    text: str

    @property
    def name(self) -> str:
        """How dpkg names its files."""
        same = re.search(r"^Multi-Arch: same$", self.text, re.MULTILINE)
        return f"{self.package}:{self.architecture}" if same else self.package

    @property
    def is_installed(self) -> bool:
        return self.status.endswith(" installed")

    @property
    def conffiles(self) -> dict[str, str]:
        """The configuration files that the package brought, by path, and the MD5 that each had then."""
        field = re.search(r"^Conffiles:\n((?: .*\n?)*)", self.text, re.MULTILINE)
        words = [line.split() for line in field[1].splitlines()] if field else []
        return {line[0]: line[1] for line in words if len(line) >= 2}


def recorded(tree: Tree) -> tuple[Recorded, ...]:
    """The packages that the status file in ``tree`` knows of, in its order."""
    text = (tree.read(f"{ADMIN}/status") or b"").decode("utf-8", "surrogateescape")
    found = []
    for paragraph in re.split(r"\n\n+", text.strip("\n")):
        fields = dict(re.findall(rf"^({'|'.join(_FIELDS)}): (.*)$", paragraph, re.MULTILINE))
        if "Package" in fields:
            package, architecture, version, status = (fields.get(name, "") for name in _FIELDS)
            found.append(Recorded(package, architecture, version, status, paragraph))
    return tuple(found)


def package_records(
    debs: Sequence[Deb],
    tree: Tree,
    *,
    kept: Sequence[Recorded] = (),
    unpacked: Mapping[str, str] | None = None,
) -> tuple[Entry, ...]:
    """The status file, and each package's list, checksums, scripts and triggers.

    Lists and checksums name the files that are in the image: documentation that was left out is no file
    that `dpkg --verify` should miss. The packages ``kept`` of a base are in the status file as they were, and those
    that are ``unpacked`` wait there to be configured; they are given with the version that was configured before.
    """
    ordered = sorted(debs, key=lambda deb: (deb.package, deb.architecture))
    paragraphs = {(item.package, item.architecture): f"{item.text}\n" for item in kept}
    paragraphs |= {
        (deb.package, deb.architecture): _status(deb, tree, (unpacked or {}).get(deb.package))
        for deb in ordered
    }
    status = "".join(f"{paragraphs[key]}\n" for key in sorted(paragraphs))
    entries = [
        Entry.file(f"{ADMIN}/status", status.encode("utf-8", "surrogateescape")),
        Entry.file(f"{ADMIN}/info/format", b"1\n"),
        *(entry for deb in ordered for entry in _info(deb)),
        *_triggers(ordered, tree),
    ]
    return tuple(entries)


def record_name(deb: Deb) -> str:
    """How dpkg names a package where two architectures of it can be installed."""
    same = deb.control.get("Multi-Arch") == "same"
    return f"{deb.package}:{deb.architecture}" if same else deb.package


def _status(deb: Deb, tree: Tree, configured: str | None) -> str:
    fields = {**deb.control, "Status": f"install ok {'installed' if configured is None else 'unpacked'}"}
    if configured:
        fields["Config-Version"] = configured
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
    name = f"{ADMIN}/info/{record_name(deb)}"
    entries = [Entry.file(f"{name}.list", "".join(f"{path}\n" for path in deb.files).encode())]
    for script, data in sorted(deb.scripts.items()):
        kept = _kept_sums(deb, data) if script == "md5sums" else data
        entries.append(Entry.file(f"{name}.{script}", kept, 0o755 if script in _SCRIPTS else 0o644))
    return entries


def _kept_sums(deb: Deb, data: bytes) -> bytes:
    kept = {path.lstrip("/").encode() for path in deb.files}
    return b"".join(line for line in data.splitlines(keepends=True) if line.rstrip(b"\n")[34:] in kept)


def _triggers(debs: Sequence[Deb], tree: Tree) -> list[Entry]:
    """Who is interested in which trigger (deb-triggers(5)): paths in one file, names in one each.

    Packages of a base that are not among ``debs`` stay interested.
    """
    folder = f"{ADMIN}/triggers"
    new = {deb.package for deb in debs}
    lines = {
        name: [line for line in _lines(tree, f"{folder}/{name}") if _interested(line) not in new]
        for name in tree.names(folder)
        if name not in _OWN or name == "File"
    }
    files = lines.pop("File", [])
    named = defaultdict(list, lines)
    for deb in debs:
        for line in deb.scripts.get("triggers", b"").decode("utf-8", "replace").splitlines():
            directive, _, trigger = line.partition("#")[0].strip().partition(" ")
            if not directive.startswith("interest"):
                continue
            who = record_name(deb) + ("/noawait" if directive.endswith("-noawait") else "")
            if trigger.startswith("/"):
                files.append(f"{trigger} {who}\n")
            elif _TRIGGER.fullmatch(trigger) and trigger not in _OWN:
                named[trigger].append(f"{who}\n")
    return [
        Entry.file(f"{folder}/File", "".join(files).encode()),
        Entry.file(f"{folder}/Unincorp", b""),
        *(Entry.file(f"{folder}/{name}", "".join(who).encode()) for name, who in sorted(named.items())),
    ]


def _lines(tree: Tree, path: str) -> list[str]:
    return (tree.read(path) or b"").decode("utf-8", "replace").splitlines(keepends=True)


def _interested(line: str) -> str:
    """The package that a line is about: ``/path name:arch/noawait``, or without the path."""
    return line.rsplit(maxsplit=1)[-1].partition("/")[0].partition(":")[0] if line.strip() else ""
