"""Rules for layers: gzip members (RFC 1952), tar members, and what one layer may do to those below it."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

from taskimage.transform.boundedtar import BoundedMember
from taskimage.transform.validate.finding import Say

__all__ = ["Tree", "check_layer"]

_CHUNK = 1 << 16
_BLOCK = 512
_MTIME = 946684800  # 2000-01-01
_GZIP = b"\x1f\x8b\x08"  # magic number and method
_PLAIN_GZIP = _GZIP + bytes(5)  # no optional fields, no time
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}
_PAX_KEYS = {"path", "linkpath", "size"}
# image-spec, layer.md, "Whiteouts".
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Node(NamedTuple):
    """What stands at a path."""

    kind: str
    mode: int
    uid: int
    gid: int


Tree: TypeAlias = dict[str, Node]
"""What the layers so far put where."""


def check_layer(descriptor: dict[str, Any], diff_id: object, stream: BinaryIO, tree: Tree, say: Say) -> None:
    """Say what is wrong with the layer in ``stream``, then add what it holds to ``tree``."""
    inflating = _Inflating(stream, say)
    try:
        _check_tar(inflating, tree, say)
        if inflating.diff_id != diff_id:
            say(f"has the diff_id {inflating.diff_id}; its configuration says {diff_id}")
    except (_DamageError, tarfile.TarError, ValueError) as error:
        say(str(error))
    inflating.exhaust()
    if inflating.blob_size != descriptor["size"]:
        say(f"has {inflating.blob_size} bytes; its descriptor says {descriptor['size']}")
    if inflating.digest != descriptor["digest"]:
        say(f"has the digest {inflating.digest}; wanted {descriptor['digest']}")


class _DamageError(Exception):
    """The layer cannot be read any further."""


class _Inflating:
    """The tar inside of a gzip stream of any number of members; both sides are hashed and counted."""

    def __init__(self, stream: BinaryIO, say: Say) -> None:
        self._stream = stream
        self._say = say
        self._blob = hashlib.sha256()
        self._tar = hashlib.sha256()
        self._raw = b""
        self._member: Any = None
        self._odd = False
        self.blob_size = 0
        self.size = 0
        self.filled = 0  # the end of the last byte that is not zero

    @property
    def digest(self) -> str:
        return f"sha256:{self._blob.hexdigest()}"

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._tar.hexdigest()}"

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes of the tar; fewer than one at its end only."""
        data = b""
        while not data and (self._member is not None or self._begin()):
            starved = not self._raw and not self._fill()
            try:
                data = self._member.decompress(self._raw, size)
            except zlib.error as error:
                raise _DamageError(
                    f"has a damaged gzip member before byte {self.blob_size}: {error}"
                ) from error
            self._raw = self._member.unused_data or self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            elif starved and not data:
                raise _DamageError("ends in the middle of a gzip member")
        self._tar.update(data)
        if rest := data.rstrip(b"\0"):
            self.filled = self.size + len(rest)
        self.size += len(data)
        return data

    def exhaust(self) -> None:
        """Hash what is left of the blob."""
        while self._fill():
            self._raw = b""

    def _begin(self) -> bool:
        """Start the next member; False where there is none."""
        while len(self._raw) < len(_PLAIN_GZIP) and self._fill():
            pass
        if not self._raw:
            return False
        if not self._raw.startswith(_GZIP):
            raise _DamageError(f"has no gzip member where one should begin, before byte {self.blob_size}")
        if not self._raw.startswith(_PLAIN_GZIP) and not self._odd:
            self._odd = True
            self._say("has a gzip member whose header states a time, a name or other optional fields")
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return True

    def _fill(self) -> bool:
        data = self._stream.read(_CHUNK)
        self._blob.update(data)
        self.blob_size += len(data)
        self._raw += data
        return bool(data)


def _check_tar(inflating: _Inflating, tree: Tree, say: Say) -> None:
    layer: Tree = {}
    stream = cast("BinaryIO", inflating)
    with tarfile.open(fileobj=stream, mode="r|", errorlevel=2, tarinfo=BoundedMember) as archive:
        while (member := archive.next()) is not None:
            _check_member(member, layer, tree, say)
            archive.members.clear()  # type: ignore[attr-defined] # it would keep them all
        end = archive.offset
    while inflating.read(_CHUNK):
        pass
    # tarfile takes a damaged header for the end, so what follows the last member is looked at here.
    if inflating.filled > end:
        say(f"has bytes that are no tar member at {end} of its tar")
    elif inflating.size - end < 2 * _BLOCK or inflating.size % _BLOCK:
        say("has a tar that does not end in two blocks of zeros")
    tree.update({path: node for path, node in layer.items() if not _is_whiteout(path)})


def _check_member(member: tarfile.TarInfo, layer: Tree, tree: Tree, say: Say) -> None:
    path = member.name
    kind = _KINDS.get(member.type)
    if kind is None:
        say(f"{path!r} is of type {member.type!r}; wanted a file, directory or link")
        return
    faults = _name_faults(path) or [*_header_faults(member, kind), *_place_faults(member, kind, layer, tree)]
    if _is_whiteout(path):
        faults += _whiteout_faults(member, kind, tree)
    for fault in faults:
        say(f"{path!r} {fault}")
    layer[path] = Node(kind, member.mode, member.uid, member.gid)


def _name_faults(path: str) -> list[str]:
    parts = path.split("/")
    faults = []
    if path.startswith("/"):
        faults.append("is absolute")
    elif any(part in ("", ".", "..") for part in parts) or "\0" in path:
        faults.append("is not a plain path")
    return faults


def _is_whiteout(path: str) -> bool:
    return path.rpartition("/")[2].startswith(_WHITEOUT)


def _whiteout_faults(member: tarfile.TarInfo, kind: str, tree: Tree) -> list[str]:
    """What is wrong with a whiteout; what it hides of lower layers is taken out of ``tree``."""
    faults = []
    if kind != "file" or member.size:
        faults.append("is a whiteout and no empty file")
    folder, slash, name = member.name.rpartition("/")
    if name == _OPAQUE:
        hidden = [path for path in tree if path.startswith(folder + slash)]
    else:
        victim = folder + slash + name.removeprefix(_WHITEOUT)
        hidden = [path for path in tree if path == victim or path.startswith(f"{victim}/")]
    if not hidden:
        faults.append("hides nothing of a lower layer")
    for path in hidden:
        del tree[path]
    return faults


def _header_faults(member: tarfile.TarInfo, kind: str) -> list[str]:
    faults = []
    if member.mtime != _MTIME:
        faults.append(f"has mtime {member.mtime}; wanted {_MTIME}")
    if member.uname or member.gname:
        faults.append(f"names its owner {member.uname!r}, its group {member.gname!r}")
    if odd := member.pax_headers.keys() - _PAX_KEYS:
        faults.append(f"has PAX records {sorted(odd)}")
    if kind == "symlink" and not member.linkname:
        faults.append("points nowhere")
    if kind in ("file", "dir") and member.mode & 0o1002 == 0o0002:
        faults.append(f"has mode {member.mode:o}: anybody may write to it")
    if kind == "dir" and member.mode & 0o500 != 0o500:
        faults.append(f"has mode {member.mode:o}: its owner cannot look into it")
    if kind != "file" and member.size:
        faults.append(f"is a {kind} of {member.size} bytes")
    return faults


def _place_faults(member: tarfile.TarInfo, kind: str, layer: Tree, tree: Tree) -> list[str]:
    """What is wrong with a member at its place among the others of its layer, and above other layers."""
    faults = []
    path = member.name
    parent = path.rpartition("/")[0]
    if path in layer:
        faults.append("is there twice")
    if parent and (parent not in layer or layer[parent].kind != "dir"):
        faults.append("stands in a layer before its directory, or without it")
    if kind == "hardlink" and (member.linkname not in layer or layer[member.linkname].kind != "file"):
        faults.append(f"links to {member.linkname!r}, which is no file before it in this layer")
    below = tree.get(path)
    if below is not None and (below.kind == "dir") != (kind == "dir"):
        faults.append(f"is a {kind} over a {below.kind} of a lower layer")
    elif below is not None and kind == "dir" and below != Node(kind, member.mode, member.uid, member.gid):
        faults.append(
            f"has mode {member.mode:o} and owner {member.uid}:{member.gid}; in a lower layer "
            f"{below.mode:o} and {below.uid}:{below.gid}"
        )
    return faults
