"""The registry for tests serves the programs that people have: skopeo, buildah, umoci."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from taskimage.model.digest import Digest
from taskimage.testing import (
    Certificates,
    Fault,
    MadeImage,
    Registry,
    make_certificates,
    make_image,
    make_index,
)

pytestmark = pytest.mark.integration

# Layers with random bytes would not be the same twice; these are large enough to be sent in several pieces.
LARGE = b"".join(Digest.of(bytes([number % 256, number // 256])).hex.encode() for number in range(20_000))
IMAGE = make_image([{"bin/": b"", "bin/sh": b"#!"}, {"data": LARGE}], config={"Cmd": ["/bin/sh"]})

Auth = Literal["basic", "bearer"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=[None, "basic", "bearer"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A registry for everybody, or for those with Basic credentials or with tokens."""
    auth: Auth | None = request.param
    with Registry(auth=auth, username="me" if auth else "", password="s3cret") as made:
        yield made


def run(*words: str | Path) -> str:
    """What a program prints; it succeeds."""
    if not shutil.which(str(words[0])):
        pytest.skip(f"needs {words[0]}")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(command: str, *words: str | Path) -> str:
    return run("skopeo", "--insecure-policy", command, *words)


FROM = ("--src-tls-verify=false", "--src-creds=me:s3cret")
TO = ("--dest-tls-verify=false", "--dest-creds=me:s3cret")


def manifest_of(layout: Path) -> bytes:
    """The manifest, or index, that an image layout is about."""
    (named,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    path: Path = layout / "blobs" / named["digest"].replace(":", "/")
    return path.read_bytes()


@pytest.mark.parametrize(
    "image",
    [
        IMAGE,
        make_index([make_image(platform=f"linux/{name}") for name in ("amd64", "arm64")]),
    ],
    ids=["image", "index"],
)
def test_skopeo_copies_out_and_in_again(registry: Registry, tmp_path: Path, image: MadeImage) -> None:
    """Through one registry and into another, with the same digests everywhere."""
    digest = registry.put_image("team/app:v1", image)
    skopeo("copy", "--all", *FROM, f"docker://{registry.host}/team/app:v1", f"oci:{tmp_path}/layout")
    assert manifest_of(tmp_path / "layout") == image.manifest
    skopeo("copy", "--all", *TO, f"oci:{tmp_path}/layout", f"docker://{registry.host}/team/other:v2")
    assert registry.manifest("team/other", "v2").data == image.manifest
    with Registry() as other:
        target = f"docker://{other.host}/copy:v3"
        skopeo("copy", "--all", *FROM, *TO, f"docker://{registry.host}/team/other@{digest}", target)
        assert other.manifest("copy", "v3").digest == digest
        assert other.blobs.keys() == registry.blobs.keys()


def test_skopeo_copies_images_of_docker_s_kind(registry: Registry, tmp_path: Path) -> None:
    image = make_image(docker=True)
    registry.put_image("team/app:v1", image)
    skopeo("copy", *FROM, f"docker://{registry.host}/team/app:v1", f"dir:{tmp_path}")
    assert (tmp_path / "manifest.json").read_bytes() == image.manifest
    skopeo("copy", *TO, f"dir:{tmp_path}", f"docker://{registry.host}/team/other:v1")
    assert registry.manifest("team/other", "v1").media_type == image.media_type


def test_skopeo_looks_at_what_is_there(registry: Registry) -> None:
    for tag in ("v2", "v1"):
        registry.put_image(f"team/app:{tag}", IMAGE)
    name = f"docker://{registry.host}/team/app"
    options = ("--tls-verify=false", "--creds=me:s3cret")
    assert json.loads(skopeo("list-tags", *options, name))["Tags"] == ["v1", "v2"]
    seen = json.loads(skopeo("inspect", *options, f"{name}:v1"))
    assert (seen["Digest"], seen["RepoTags"]) == (str(IMAGE.digest), ["v1", "v2"])
    assert seen["Layers"] == [str(Digest.of(layer)) for layer in IMAGE.blobs[1:]]
    skopeo("delete", *options, f"{name}:v1")
    assert registry.tags("team/app") == []


def test_umoci_unpacks_what_was_pulled(registry: Registry, tmp_path: Path) -> None:
    registry.put_image("team/app:v1", IMAGE)
    layout = tmp_path / "layout"
    skopeo("copy", *FROM, f"docker://{registry.host}/team/app:v1", f"oci:{layout}:v1")
    run("umoci", "unpack", "--rootless", "--image", f"{layout}:v1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "data").read_bytes() == LARGE
    run("umoci", "config", "--image", f"{layout}:v1", "--tag", "v2", "--config.user", "1000")
    skopeo("copy", *TO, f"oci:{layout}:v2", f"docker://{registry.host}/team/app:v2")
    config = registry.manifest("team/app", "v2").document["config"]["digest"]
    assert json.loads(registry.blobs[Digest.parse(config)].read_bytes())["config"]["User"] == "1000"


def test_buildah_pulls_and_pushes(registry: Registry, tmp_path: Path) -> None:
    digest = registry.put_image("team/app:v1", IMAGE)
    buildah = (
        "buildah", "--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver", "vfs",
    )  # fmt: skip
    options = ("--tls-verify=false", "--creds=me:s3cret")
    name = f"{registry.host}/team/app:v1"
    try:
        run(*buildah, "pull", *options, name)
        run(*buildah, "push", *options, name, f"docker://{registry.host}/team/other:v2")
    finally:
        run(*buildah, "rmi", "--all", "--force")
    # Layers are compressed anew, and the configuration stays what it was.
    pushed, pulled = registry.manifest("team/other", "v2"), registry.manifest("team/app", digest)
    assert pushed.document["config"]["digest"] == pulled.document["config"]["digest"]


@pytest.mark.parametrize("auth", [None, "basic", "bearer"])
def test_skopeo_copies_over_tls_with_a_private_authority(
    certificates: Certificates, tmp_path: Path, auth: Auth | None
) -> None:
    (tmp_path / "certs.d").mkdir()
    shutil.copy(certificates.ca, tmp_path / "certs.d" / "ca.crt")
    user = "me" if auth else ""
    with Registry(auth=auth, username=user, password="s3cret", tls=certificates) as registry:
        registry.put_image("team/app:v1", IMAGE)
        name = f"docker://{registry.host}/team/app"
        trusted = (f"--src-cert-dir={tmp_path}/certs.d", f"--dest-cert-dir={tmp_path}/certs.d")
        skopeo("copy", *trusted, FROM[1], TO[1], f"{name}:v1", f"{name}:v2")
        assert registry.tags("team/app") == ["v1", "v2"]
        with pytest.raises(AssertionError, match="certificate"):
            skopeo("inspect", f"{name}:v1")


def test_a_registry_can_ask_clients_for_certificates(certificates: Certificates, tmp_path: Path) -> None:
    folder = tmp_path / "certs.d"
    folder.mkdir()
    shutil.copy(certificates.ca, folder / "ca.crt")
    with Registry(tls=certificates, client_certificates=True) as registry:
        registry.put_image("team/app:v1", IMAGE)
        look = ("inspect", f"--cert-dir={folder}", f"docker://{registry.host}/team/app:v1")
        with pytest.raises(AssertionError, match="certificate"):
            skopeo(*look)
        shutil.copy(certificates.certificate, folder / "client.cert")
        shutil.copy(certificates.key, folder / "client.key")
        assert json.loads(skopeo(*look))["Digest"] == str(IMAGE.digest)


def test_skopeo_sends_no_credentials_to_where_it_is_redirected(tmp_path: Path) -> None:
    """The other host saw the request, and what came with it."""
    with Registry(username="me", password="s3cret") as registry, Registry() as other:
        for one in (registry, other):
            one.put_image("team/app:v1", IMAGE)
        registry.fail(Fault(path="/blobs/", redirect=other.url, times=None))
        skopeo("copy", *FROM, f"docker://{registry.host}/team/app:v1", f"oci:{tmp_path}/layout")
        assert len(other.requests) == len(IMAGE.blobs)
        assert {asked.authorization for asked in other.requests} == {""}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="GET", path="/blobs/", flip=100, times=None),
        Fault(method="GET", path="/blobs/", truncate=100, times=None),
        Fault(method="GET", path="/manifests/", code="DENIED", times=None),
        Fault(method="GET", path="/manifests/", status=500, times=None),
    ],
    ids=["flip", "truncate", "denied", "error"],
)
def test_skopeo_fails_on_what_goes_wrong(tmp_path: Path, fault: Fault) -> None:
    with Registry() as registry:
        registry.put_image("team/app:v1", IMAGE)
        registry.fail(fault)
        with pytest.raises(AssertionError):
            skopeo("copy", *FROM[:1], f"docker://{registry.host}/team/app:v1", f"oci:{tmp_path}/layout")
        assert fault in [asked.fault for asked in registry.requests]


# -- as others do --------------------------------------------------------------------------------------


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[str]:
    """The host of Docker's registry."""
    if not shutil.which("docker-registry"):
        pytest.skip("needs docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "root")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "config.yml").write_text(json.dumps(configuration), encoding="utf-8")
    command = ["docker-registry", "serve", str(tmp_path / "config.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def conversation(host: str) -> list[tuple[object, ...]]:
    """What a registry answers to a client that pushes, pulls and deletes, and now and then errs."""
    said: list[tuple[object, ...]] = []
    connection = http.client.HTTPConnection(host)

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        target = path if path.startswith(("http://", "/v2/")) else f"/v2/team/app/{path}"
        kind = {"Content-Type": "application/octet-stream"} if method == "PATCH" else {}
        connection.request(method, target, body, {**kind, **named})
        answer = connection.getresponse()
        data = answer.read()
        codes = (
            [error["code"] for error in json.loads(data)["errors"]] if answer.status >= 400 and data else []
        )
        seen = [answer.headers[name] for name in ("Range", "Content-Range", "Docker-Content-Digest")]
        content = data if answer.status < 300 and "manifests" in path else len(data) * (answer.status < 300)
        said.append((method, path.partition("?")[0].rpartition("/")[0], answer.status, codes, *seen, content))
        return answer.headers.get("Location", "")

    blob = LARGE[:10_000]
    digest, wrong = Digest.of(blob), Digest.of(b"wrong")
    for path in ("manifests/v1", f"manifests/{digest}", f"blobs/{digest}"):
        ask("GET", path)
        ask("HEAD", path)
    ask("GET", "tags/list")
    at = ask("POST", "blobs/uploads/")
    ask("GET", at)
    at = ask("PATCH", at, blob[:100], Content_Range="0-99")
    at = ask("PATCH", at, blob[100:200])
    ask("GET", at)
    ask("PUT", at)
    ask("PUT", f"{at}&digest={digest}", blob[200:])
    ask("PUT", f"{at}&digest={digest}")
    ask("PUT", f"{ask('POST', 'blobs/uploads/')}&digest={wrong}", blob)
    at = ask("POST", "blobs/uploads/")
    ask("DELETE", at)
    ask("GET", at)
    ask("HEAD", f"blobs/{digest}")
    for part in ("bytes=5-10", "bytes=9990-", "bytes=-10", "bytes=0-99999"):
        ask("GET", f"blobs/{digest}", Range=part)
    ask("POST", f"/v2/team/other/blobs/uploads/?mount={digest}&from=team/app")
    ask("POST", f"/v2/team/other/blobs/uploads/?mount={wrong}&from=team/app")
    ask("PUT", "manifests/v1", IMAGE.manifest, Content_Type=IMAGE.media_type)
    for part_of_image in IMAGE.blobs:
        target = f"{ask('POST', 'blobs/uploads/')}&digest={Digest.of(part_of_image)}"
        ask("PUT", target, part_of_image)
    for reference in ("v1", str(IMAGE.digest), str(digest)):
        ask("PUT", f"manifests/{reference}", IMAGE.manifest, Content_Type=IMAGE.media_type)
    ask("PUT", "manifests/v1", b"{", Content_Type=IMAGE.media_type)
    index = make_index([make_image()])
    ask("PUT", "manifests/v2", index.manifest, Content_Type=index.media_type)
    for reference in ("v1", str(IMAGE.digest)):
        ask("GET", f"manifests/{reference}", Accept=IMAGE.media_type)
        ask("HEAD", f"manifests/{reference}", Accept=IMAGE.media_type)
    for path in (f"manifests/{IMAGE.digest}", f"blobs/{digest}"):
        ask("DELETE", path)
        ask("DELETE", path)
    connection.close()
    return said


def test_it_answers_as_the_registry_of_docker_does(docker_registry: str) -> None:
    with Registry() as registry:
        ours = conversation(registry.host)
    for one, other in zip(ours, conversation(docker_registry), strict=True):
        assert (one[0], *one[2:]) == (other[0], *other[2:]), one[1]


# -- what it costs -------------------------------------------------------------------------------------


def memory(field: str) -> int:
    """What the kernel says of this process, in bytes (proc_pid_status(5))."""
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert match is not None
    return int(match[1]) * 1024


def test_large_blobs_take_no_memory() -> None:
    piece, count = bytes(1 << 20), 300
    size = count * len(piece)
    with Registry() as registry:
        connection = http.client.HTTPConnection(registry.host)

        def ask(method: str, target: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
            connection.request(method, target, body, headers)
            return connection.getresponse()

        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is measured from now on
        before = memory("VmRSS")
        started = ask("POST", "/v2/big/blobs/uploads/")
        started.read()
        hasher = hashlib.sha256()
        for _ in range(count):
            hasher.update(piece)
        digest = f"sha256:{hasher.hexdigest()}"
        target = f"{started.headers['Location']}&digest={digest}"
        pieces = (piece for _ in range(count))
        headers = {"Content-Length": str(size)}
        pushed = ask("PUT", target, pieces, **headers)
        pushed.read()
        assert pushed.status == 201
        pulled = ask("GET", f"/v2/big/blobs/{digest}")
        assert sum(iter(lambda: len(pulled.read(1 << 20)), 0)) == size
        connection.close()
    assert memory("VmHWM") - before < 30_000_000


def test_a_thousand_questions_take_about_a_second() -> None:
    with Registry() as registry:
        registry.put_image("team/app:v1", IMAGE)
        connection = http.client.HTTPConnection(registry.host)
        start = time.monotonic()
        for _ in range(1000):
            connection.request("HEAD", "/v2/team/app/manifests/v1")
            connection.getresponse().read()
        took = time.monotonic() - start
        connection.close()
    assert took < 5
