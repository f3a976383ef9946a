"""The independent check: sound images pass, every fault is named, all of them at once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.oci import Platform
from taskimage.transform.assemble import assemble
from taskimage.transform.entry import Entry
from taskimage.transform.runtime import runtime_config
from taskimage.transform.validate import Finding, validate

MTIME = 946684800


def member(name: str, data: bytes | None = None, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member by our rules, a directory when it has no data, with some fields changed."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    info.mode = 0o755 if data is None else 0o644
    info.size = len(data or b"")
    info.mtime = MTIME
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data or b""


SOUND = (member("etc"), member("etc/a", b"hello"), member("root", mode=0o775, uid=1000))


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar archive that ends in two blocks of zeros and no more."""
    blocks = []
    for info, data in members:
        blocks.append(info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512))
    return b"".join(blocks) + bytes(1024)


def zipped(*parts: bytes) -> bytes:
    """One gzip member for each part."""
    return b"".join(
        gzip.compress(part, mtime=0)[:9] + b"\xff" + gzip.compress(part, mtime=0)[10:] for part in parts
    )


class Blobs(dict[str, bytes]):
    """Blobs by digest."""

    def put(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self[digest] = data
        return digest

    def open(self, digest: str) -> BinaryIO:
        if digest not in self:
            raise FileNotFoundError(digest)
        return io.BytesIO(self[digest])


class Image:
    """A sound image of some tars, whose documents a test can spoil before it is checked."""

    def __init__(self, *tars: bytes) -> None:
        self.blobs = Blobs()
        self.tars = tars or (tar(*SOUND),)
        self.zipped = [zipped(one) for one in self.tars]
        self.execution: dict[str, Any] = {"Env": ["PATH=/bin", "A="], "User": "1000:0", "WorkingDir": "/root"}
        self.config: dict[str, Any] = {
            "os": "linux",
            "architecture": "amd64",
            "created": "2000-01-01T00:00:00Z",
            "config": self.execution,
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in self.tars],
            },
            "history": [{"created_by": "x"} for _ in self.tars],
        }
        self.manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
        }

    def findings(self, spoil: Callable[[dict[str, Any]], object] = lambda _manifest: None) -> list[str]:
        """What the check finds, after ``spoil`` had its way with the manifest."""
        config = json.dumps(self.config).encode()
        self.manifest["config"] = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": self.blobs.put(config),
            "size": len(config),
        }
        self.manifest["layers"] = [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": self.blobs.put(data),
                "size": len(data),
            }
            for data in self.zipped
        ]
        spoil(self.manifest)
        digest = self.blobs.put(json.dumps(self.manifest).encode())
        return [str(finding) for finding in validate(digest, self.blobs.open)]


def test_a_sound_image_has_no_faults() -> None:
    assert Image().findings() == []


def test_what_the_project_writes_has_no_faults(store: Store, keep_layer: Any) -> None:
    deep = "/".join(["a" * 60] * 5)
    layers = [
        keep_layer(store, Entry.file("usr/bin/x", b"x" * 2_000_000, 0o755), Entry.symlink("bin", "usr/bin")),
        keep_layer(
            store, Entry.file(deep, b"1"), Entry.file("root/ü", b"2", uid=1000), Entry.directory("tmp")
        ),
    ]
    image = assemble(layers, runtime_config(image_id="x"), platform=Platform("linux", "amd64"))
    store.put_blob(image.config_bytes)
    store.put_blob(image.manifest_bytes)
    found = validate(str(image.digest), lambda digest: store.blob_path(Digest.parse(digest)).open("rb"))
    assert found == ()


MEMBERS: list[tuple[tuple[tarfile.TarInfo, bytes], str]] = [
    (member("/abs", b""), "'/abs' is absolute"),
    (member("../up", b""), "'../up' is not a plain path"),
    (member("./dot", b""), "'./dot' is not a plain path"),
    (member("etc//a", b""), "'etc//a' is not a plain path"),
    (member("etc/.wh.a", b""), "'etc/.wh.a' hides nothing of a lower layer"),
    (member("etc/.wh.", b""), "'etc/.wh.' hides nothing of a lower layer"),
    (member("etc/.wh..wh..opq", b""), "'etc/.wh..wh..opq' hides nothing of a lower layer"),
    (member("etc/a", b"again"), "'etc/a' is there twice"),
    (member("usr/x", b""), "'usr/x' stands in a layer before its directory, or without it"),
    (member("etc/a/b", b""), "'etc/a/b' stands in a layer before its directory, or without it"),
    (member("x", b"", mtime=0), "'x' has mtime 0; wanted 946684800"),
    (member("x", b"", uname="me"), "'x' names its owner 'me', its group ''"),
    (member("x", b"", mode=0o666), "'x' has mode 666: anybody may write to it"),
    (member("x", mode=0o777), "'x' has mode 777: anybody may write to it"),
    (member("x", mode=0o644), "'x' has mode 644: its owner cannot look into it"),
    (member("x", b"", pax_headers={"comment": "hi"}), "'x' has PAX records ['comment']"),
    (member("x", size=512), "'x' is a dir of 512 bytes"),
    (member("x", b"", type=tarfile.CHRTYPE), "'x' is of type b'3'; wanted a file, directory or link"),
    (member("x", b"", type=tarfile.FIFOTYPE), "'x' is of type b'6'; wanted a file, directory or link"),
    (member("x", b"", type=tarfile.SYMTYPE), "'x' points nowhere"),
    (
        member("x", b"", type=tarfile.LNKTYPE, linkname="etc/b"),
        "'x' links to 'etc/b', which is no file before it in this layer",
    ),
    (
        member("x", b"", type=tarfile.LNKTYPE, linkname="etc"),
        "'x' links to 'etc', which is no file before it in this layer",
    ),
]


@pytest.mark.parametrize(("odd", "message"), MEMBERS, ids=[message for _, message in MEMBERS])
def test_a_member_against_the_rules_is_named(odd: tuple[tarfile.TarInfo, bytes], message: str) -> None:
    assert Image(tar(*SOUND, odd)).findings() == [f"layer 0: {message}"]


@pytest.mark.parametrize(
    "good",
    [
        member("tmp", mode=0o1777),
        member("x", b"", type=tarfile.LNKTYPE, linkname="etc/a"),
        member("x", b"", type=tarfile.SYMTYPE, linkname="/nowhere", mode=0o777),
        member("x" * 99 + "ü" * 99, b"1"),
        member("su", b"", mode=0o4755),
    ],
    ids=lambda pair: pair[0].name[:9],
)
def test_a_member_within_the_rules_passes(good: tuple[tarfile.TarInfo, bytes]) -> None:
    assert Image(tar(*SOUND, good)).findings() == []


@pytest.mark.parametrize(
    ("upper", "message"),
    [
        (member("etc", b""), "'etc' is a file over a dir of a lower layer"),
        (
            member("etc", b"", type=tarfile.SYMTYPE, linkname="x"),
            "'etc' is a symlink over a dir of a lower layer",
        ),
        (member("root"), "'root' has mode 755 and owner 0:0; in a lower layer 775 and 1000:0"),
    ],
)
def test_a_layer_that_changes_a_lower_directory_is_named(
    upper: tuple[tarfile.TarInfo, bytes], message: str
) -> None:
    assert Image(tar(*SOUND), tar(upper)).findings() == [f"layer 1: {message}"]


def test_a_directory_over_a_link_is_named_since_it_would_replace_it() -> None:
    link = member("lib", b"", type=tarfile.SYMTYPE, linkname="usr/lib", mode=0o777)
    found = Image(tar(link), tar(member("lib"))).findings()
    assert found == ["layer 1: 'lib' is a dir over a symlink of a lower layer"]


def test_a_file_may_be_replaced_by_a_higher_layer() -> None:
    assert Image(tar(*SOUND), tar(member("etc"), member("etc/a", b"new"))).findings() == []


GONE = (member("etc"), member("etc/.wh.a", b""))
FOLDER_GONE = (member(".wh.etc", b""),)
ALL_GONE = (member("etc"), member("etc/.wh..wh..opq", b""), member("etc/b", b"new"))


@pytest.mark.parametrize(
    ("hiding", "above"),
    [
        (GONE, (member("etc"), member("etc/a"))),
        (FOLDER_GONE, (member("etc", b""),)),
        (ALL_GONE, (member("etc"), member("etc/a"))),
    ],
    ids=["a file", "a folder", "all that is in a folder"],
)
def test_what_a_whiteout_hides_is_gone_for_higher_layers(hiding: Any, above: Any) -> None:
    assert Image(tar(*SOUND), tar(*hiding), tar(*above)).findings() == []


def test_a_whiteout_leaves_alone_what_its_own_layer_has() -> None:
    found = Image(tar(*SOUND), tar(*ALL_GONE), tar(member("etc"), member("etc/b"))).findings()
    assert found == ["layer 2: 'etc/b' is a dir over a file of a lower layer"]


@pytest.mark.parametrize("odd", [member("etc/.wh.a", b"x"), member("etc/.wh.a")], ids=["bytes", "folder"])
def test_a_whiteout_is_an_empty_file(odd: tuple[tarfile.TarInfo, bytes]) -> None:
    found = Image(tar(*SOUND), tar(member("etc"), odd)).findings()
    assert found == ["layer 1: 'etc/.wh.a' is a whiteout and no empty file"]


NOISE = tar(*SOUND, member("noise", random.Random(1).randbytes(200_000)))


@settings(max_examples=20)
@given(st.lists(st.integers(0, len(NOISE)), max_size=40).map(sorted))
def test_a_tar_may_be_cut_into_gzip_members_anywhere(cuts: list[int]) -> None:
    bounds = [0, *cuts, len(NOISE)]
    parts = [NOISE[start:end] for start, end in pairwise(bounds)]
    assert layer_of(zipped(*parts), NOISE) == []


def layer_of(data: bytes, plain: bytes) -> list[str]:
    """What is found when the layer of ``plain`` is ``data``."""
    image = Image(plain)
    image.zipped = [data]
    return image.findings()


PLAIN = tar(*SOUND)
WHOLE = zipped(PLAIN)
_HEADER = tarfile.TarInfo("a")
_HEADER.type, _HEADER.size = tarfile.XHDTYPE, 1 << 40
ABSURD = _HEADER.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


@pytest.mark.parametrize(
    ("data", "plain", "message"),
    [
        (zipped(PLAIN[:700], PLAIN[700:], b""), PLAIN, None),
        (WHOLE[:-9], PLAIN, "layer 0: ends in the middle of a gzip member"),
        (WHOLE + b"junk", PLAIN, "no gzip member where one should begin"),
        (WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:], PLAIN, "damaged gzip member"),
        (PLAIN, PLAIN, "no gzip member where one should begin"),
        (zlib.compress(PLAIN), PLAIN, "no gzip member where one should begin"),
        (gzip.compress(PLAIN, mtime=1), PLAIN, "has a gzip member whose header states a time, a name"),
        (WHOLE, PLAIN + bytes(512), "layer 0: has the diff_id"),
        (zipped(PLAIN[:-512]), PLAIN[:-512], "does not end in two blocks of zeros"),
        (zipped(PLAIN + b"\0"), PLAIN + b"\0", "does not end in two blocks of zeros"),
        (zipped(PLAIN + b"x" * 512), PLAIN + b"x" * 512, "has bytes that are no tar member at"),
        (
            zipped(PLAIN[:512] + b"x" * 512 + PLAIN[512:]),
            PLAIN[:512] + b"x" * 512 + PLAIN[512:],
            "no tar member at 512",
        ),
        (zipped(PLAIN[:1100]), PLAIN[:1100], "unexpected end of data"),
        (zipped(b""), b"", "empty file"),
        (zipped(ABSURD), ABSURD, "a header of 1099511627776 bytes"),
        (b"junk" * 50_000, PLAIN, "no gzip member where one should begin"),
        (zipped(PLAIN + bytes(100_000)), PLAIN + bytes(100_000), "does not end in two blocks of zeros"),
    ],
)
def test_a_damaged_layer_is_named(data: bytes, plain: bytes, message: str | None) -> None:
    found = layer_of(data, plain)
    assert len(found) >= 1 if message else found == []
    assert message is None or message in found[0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda one: one.update(schemaVersion=1), "manifest: schemaVersion is 1; wanted 2"),
        (lambda one: one.update(mediaType="x"), "manifest: mediaType is 'x'"),
        (lambda one: one.update(annotations={"a": 1}), "manifest: annotations is no object of strings"),
        (lambda one: one["config"].update(size=1), "config: has"),
        (
            lambda one: one.update(layers=one["layers"] * 128),
            "manifest: has 128 layers; runtimes stack at most 127",
        ),
        (lambda one: one.update(config=None), "manifest: config is None; wanted a descriptor"),
        (lambda one: one["config"].update(mediaType="x"), "manifest: config.mediaType is 'x'"),
        (lambda one: one["layers"][0].update(size=1), "layer 0: has"),
        (lambda one: one["layers"][0].update(size=-1), "manifest: layers[0].size is -1"),
        (lambda one: one["layers"][0].update(digest="sha256:1"), "manifest: layers[0].digest is 'sha256:1'"),
        (
            lambda one: one["layers"][0].update(digest=f"sha256:{'0' * 64}"),
            f"layer 0: cannot read the blob sha256:{'0' * 64}",
        ),
        (lambda one: one["layers"][0].update(mediaType="x"), "manifest: layers[0].mediaType is 'x'"),
    ],
)
def test_a_manifest_against_the_rules_is_named(spoil: Any, message: str) -> None:
    found = Image().findings(spoil)
    assert found[0].startswith(message)


def test_a_manifest_of_no_layers_is_named() -> None:
    found = Image().findings(lambda manifest: manifest.update(layers=[]))
    assert found[0] == "manifest: layers is no list, or an empty one"


@pytest.mark.parametrize(
    ("where", "key", "value", "message"),
    [
        ("config", "os", "", "os is ''; wanted a name"),
        ("config", "created", "yesterday", "created is 'yesterday'"),
        ("config", "history", [], "history tells of 0 layers; the manifest has 1"),
        ("config", "history", None, "history is no list of objects"),
        ("config", "config", None, "config is not an object"),
        ("config", "rootfs", {"type": "x"}, "rootfs.type is not 'layers'"),
        (
            "config",
            "rootfs",
            {"type": "layers", "diff_ids": []},
            "rootfs has 0 diff_ids; the manifest has 1 layers",
        ),
        ("config", "rootfs", {"type": "layers", "diff_ids": ["x"]}, "rootfs.diff_ids is no list of digests"),
        ("execution", "User", "flytekit", "config.User is 'flytekit'; wanted numbers"),
        ("execution", "WorkingDir", "root", "config.WorkingDir is 'root'; wanted an absolute path"),
        ("execution", "Env", ["A"], "config.Env has 'A'; wanted NAME=value"),
        ("execution", "Env", ["=1"], "config.Env has '=1'; wanted NAME=value"),
        ("execution", "Env", ["A=1", "A=2"], "config.Env has 'A' twice"),
        ("execution", "Entrypoint", "sh", "config.Entrypoint is no list of strings"),
        ("execution", "Labels", {"a": None}, "config.Labels is no object of strings"),
    ],
)
def test_a_configuration_against_the_rules_is_named(where: str, key: str, value: Any, message: str) -> None:
    image = Image()
    getattr(image, where)[key] = value
    found = image.findings()
    assert found[0].startswith(f"config: {message}")


def test_bytes_that_are_not_their_digest_are_named() -> None:
    image = Image()
    image.findings()
    digest = image.manifest["layers"][0]["digest"]
    manifest = image.blobs.put(json.dumps(image.manifest).encode())
    image.blobs[digest] = zipped(PLAIN[:512], PLAIN[512:])
    found = [str(finding) for finding in validate(manifest, image.blobs.open)]
    assert [text.partition(" sha256")[0] for text in found] == [
        f"layer 0: has {len(image.blobs[digest])} bytes; its descriptor says {len(WHOLE)}",
        "layer 0: has the digest",
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b" " * (4 << 20) + b"{}"])
def test_a_manifest_that_is_no_document_is_named(data: bytes) -> None:
    blobs = Blobs()
    found = validate(blobs.put(data), blobs.open)
    assert [finding.where for finding in found] == ["manifest"]


def test_a_manifest_that_is_not_its_digest_is_named() -> None:
    blobs = Blobs({f"sha256:{'0' * 64}": b"{}"})
    (first, *_) = validate(f"sha256:{'0' * 64}", blobs.open)
    assert first == Finding("manifest", f"has the digest {blobs.put(b'{}')}; wanted sha256:{'0' * 64}")


def test_a_manifest_that_is_not_there_is_named() -> None:
    digest = f"sha256:{'0' * 64}"
    assert validate(digest, Blobs().open) == (
        Finding("manifest", f"cannot read the blob {digest}: {digest}"),
    )


def test_all_faults_are_told_at_once() -> None:
    odd = [pair for pair, _ in MEMBERS[:5]]
    image = Image(tar(*SOUND, *odd))
    image.execution["User"] = "root"
    assert len(image.findings(lambda manifest: manifest.update(schemaVersion=3))) == 7
