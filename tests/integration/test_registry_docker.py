"""Pushing to Debian's ``docker-registry`` and pulling from it, on good days and through a proxy on bad ones."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.dockerregistry import DockerRegistry, TokenServer, docker_registry, with_tls, with_users
from tests.faultyproxy import CuttingRelay, FaultyProxy
from tests.repositories import CANARY, blob, credential, described, session

from taskimage.adapters.crew import Crew
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry import Registries, uploads
from taskimage.adapters.registry.repository import Repository
from taskimage.adapters.settings import Settings
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotAllowed, TaskImageError, Unreachable
from taskimage.model.oci import MANIFEST, Descriptor, Manifest, RawManifest
from taskimage.model.reference import Reference
from taskimage.testing import Certificates, Fault, make_certificates, make_image

pytestmark = pytest.mark.integration

SMALL, CHUNK = 20_000, 200_000
SIZES = (10, SMALL, SMALL + 1, CHUNK, 3 * CHUNK + 1)
TOTAL = sum(SIZES)


@pytest.fixture(autouse=True)
def _sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes are thousands."""
    monkeypatch.setattr(uploads, "_SMALL", SMALL)
    monkeypatch.setattr(uploads, "_CHUNK", CHUNK)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    """One that lets everybody in."""
    with docker_registry(tmp_path) as registry:
        yield registry


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority's."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def connect(
    url: str, path: str = "team/app", *, patient: Sequence[float] = (0.05,) * 4, **more: object
) -> Repository:
    """A repository at ``url``."""
    return Repository(session(url, pauses=patient, **more), path, push=True)  # type: ignore[arg-type]


def push(there: Repository, sizes: Sequence[int] = SIZES) -> tuple[RawManifest, int]:
    """Push an image of blobs of ``sizes``; its manifest, and how many bytes were sent."""
    blobs = [blob(size, seed) for seed, size in enumerate(sizes)]
    sent: list[int] = []

    def upload(item: int) -> None:
        descriptor, open_blob = blobs[item]
        there.upload(descriptor, open_blob, moved=lambda amount: sent.append(max(amount, 0)))

    Crew.run(upload, range(len(blobs)))
    config, *layers = (descriptor for descriptor, _ in blobs)
    raw = RawManifest(MANIFEST, Manifest(config=config, layers=tuple(layers)).to_json())
    there.put_manifest(raw, "v1")
    return raw, sum(sent)


def pull(there: Repository, store: Store, version: str = "v1") -> RawManifest:
    """Pull an image into ``store``."""
    raw = there.manifest(version)
    assert raw is not None
    manifest = raw.read(where="pulled")
    assert isinstance(manifest, Manifest)

    def fetch(descriptor: Descriptor) -> None:
        with store.pending_blob() as pending:
            there.download(descriptor, pending)

    Crew.run(fetch, (manifest.config, *manifest.layers))
    return raw


def check(there: Repository, raw: RawManifest, home: Path) -> None:
    """The registry has the image of ``raw``, and all of it can be pulled."""
    store = Store(home)
    assert pull(there, store) == raw
    whole(store)


def whole(store: Store) -> None:
    """Every file of the store is what its name says, and nothing unfinished lies about."""
    for path in store.layout.glob("blobs/sha256/*"):
        assert Digest.of(path.read_bytes()).hex == path.name
    assert list(store.home.glob("tmp/*")) == []


def shown(value: object) -> str:
    """A fault, by what is not as usual."""
    if not isinstance(value, Fault):
        return getattr(value, "__name__", str(value))
    usual = asdict(Fault())
    return ",".join(f"{name}={is_}" for name, is_ in asdict(value).items() if is_ != usual[name])


def skopeo(*words: str) -> None:
    """Run skopeo; it succeeds."""
    if not shutil.which("skopeo"):
        pytest.skip("needs skopeo")
    done = subprocess.run(
        ["skopeo", "--insecure-policy", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# -- good days -----------------------------------------------------------------------------------------


def test_open(registry: DockerRegistry, tmp_path: Path) -> None:
    raw, sent = push(connect(registry.url))
    assert sent == TOTAL
    check(connect(registry.url), raw, tmp_path / "home")
    assert push(connect(registry.url)) == (raw, 0)


def test_users(tmp_path: Path) -> None:
    with docker_registry(tmp_path, **with_users(tmp_path)) as registry:
        there = connect(registry.url, known=credential())
        raw, _ = push(there)
        check(there, raw, tmp_path / "home")
        with pytest.raises(NotAllowed, match=r"auths in a\.json: none"):
            push(connect(registry.url))
        with pytest.raises(NotAllowed) as caught:
            push(connect(registry.url, known=credential(secret="wrong-canary")))
        assert "canary" not in str(caught.value)


def test_what_docker_login_kept_lets_in(tmp_path: Path) -> None:
    with docker_registry(tmp_path, **with_users(tmp_path)) as registry:
        auth = b64encode(f"ada:{CANARY}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path / "nobody")}
        registries = Registries(Settings(home=tmp_path / "home"), environ)
        there = registries.repository(Reference.parse(f"{registry.host}/team/app:v1"), push=True)
        raw, _ = push(there)
        check(there, raw, tmp_path / "home")


def test_skopeo_pulls_what_was_pushed(registry: DockerRegistry, tmp_path: Path) -> None:
    there, image = connect(registry.url), make_image([{"etc/motd": b"hello"}, {"data": bytes(300_000)}])
    for data in image.blobs:
        there.upload(described(data), lambda data=data: io.BytesIO(data))  # type: ignore[misc]
    there.put_manifest(RawManifest(image.media_type, image.manifest), "v1")
    skopeo(
        "copy", "--src-tls-verify=false", f"docker://{registry.host}/team/app:v1", f"oci:{tmp_path}/layout:v1"
    )
    assert (tmp_path / "layout/blobs/sha256" / image.digest.hex).read_bytes() == image.manifest


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_skopeo_pushed_is_pulled(registry: DockerRegistry, tmp_path: Path, form: str) -> None:
    image = make_image([{"etc/motd": b"hello"}, {"data": bytes(300_000)}])
    there = connect(registry.url)
    for data in image.blobs:
        there.upload(described(data), lambda data=data: io.BytesIO(data))  # type: ignore[misc]
    there.put_manifest(RawManifest(image.media_type, image.manifest), "v1")
    skopeo(
        "copy", "--format", form, "--src-tls-verify=false", "--dest-tls-verify=false",
        f"docker://{registry.host}/team/app:v1", f"docker://{registry.host}/other/app:v2",
    )  # fmt: skip
    other = connect(registry.url, "other/app")
    raw = pull(other, Store(tmp_path / "home"), "v2")
    whole(Store(tmp_path / "home"))
    assert other.head("v2") == raw.descriptor
    assert (raw.digest == image.digest) == (form == "oci")


def test_tokens(tmp_path: Path) -> None:
    with TokenServer(tmp_path) as tokens, docker_registry(tmp_path, **tokens.environ) as registry:
        there = connect(registry.url, known=credential())
        raw, _ = push(there)
        assert tokens.given == ["repository:team/app:pull,push"]
        check(there, raw, tmp_path / "home")
        with pytest.raises(NotAllowed, match="its token server"):
            push(connect(registry.url))


def test_tokens_that_expire_in_the_middle_of_a_push(tmp_path: Path) -> None:
    with (
        TokenServer(tmp_path, lifetime=2) as tokens,
        docker_registry(tmp_path, **tokens.environ) as registry,
        FaultyProxy(registry.host) as proxy,
    ):
        # Slow enough that a token is good for a part of it only.
        proxy.fail(Fault(method="PATCH", delay=0.5, times=None))
        there = connect(proxy.url, known=credential())
        raw, sent = push(there)
        assert sent <= 2 * TOTAL
        assert 2 <= len(tokens.given) <= 5
        check(there, raw, tmp_path / "home")


def test_a_mount_from_another_repository(registry: DockerRegistry) -> None:
    push(connect(registry.url, "base/python"))
    there = connect(registry.url)
    moved: list[int] = []
    for seed, size in enumerate(SIZES):
        there.upload(*blob(size, seed), mount_from=["base/python"], moved=moved.append)
    assert moved == []
    assert all(there.has_blob(blob(size, seed)[0].digest) for seed, size in enumerate(SIZES))


def test_tls(tmp_path: Path, certificates: Certificates) -> None:
    with docker_registry(tmp_path, **with_tls(certificates)) as registry:
        there = connect(registry.url, trust=Trust(ca=(str(certificates.ca),)))
        raw, _ = push(there)
        check(there, raw, tmp_path / "home")
        with pytest.raises(Unreachable, match="is not trusted"):
            push(connect(registry.url))


# -- bad days ------------------------------------------------------------------------------------------


def test_cut_at_many_offsets_of_what_is_sent(registry: DockerRegistry, tmp_path: Path) -> None:
    offsets = [*range(0, 2_000, 190), *range(2_000, TOTAL, TOTAL // 20)]
    for number, offset in enumerate(offsets):
        with CuttingRelay(registry.host, up=offset) as relay:
            there = connect(relay.url, f"sent/r{number}")
            raw, sent = push(there)
            assert relay.cut
            # One connection for each of the blobs was cut at most, and this registry forgets what it had of it.
            assert sent <= 2 * TOTAL
            check(there, raw, tmp_path / f"home{number}")


def test_cut_at_many_offsets_of_what_comes_back(registry: DockerRegistry, tmp_path: Path) -> None:
    with CuttingRelay(registry.host) as relay:
        there = connect(relay.url, "all")
        raw, _ = push(there)
        check(there, raw, tmp_path / "home")
        most = relay.passed["down"]
    for number, offset in enumerate([*range(0, 2_000, 190), *range(2_000, most - 5_000, most // 20)]):
        with CuttingRelay(registry.host, down=offset) as relay:
            there = connect(relay.url, f"back/r{number}")
            raw, sent = push(there)
            check(there, raw, tmp_path / f"home{number}")
            assert relay.cut
            assert sent <= 2 * TOTAL


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers={"Retry-After": "1"}, times=2),
        Fault(status=500, skip=2, times=3),
        Fault(method="PATCH", status=503, times=3),
        Fault(method="PUT", status=504, times=2),
        Fault(method="PATCH", lost=True, times=2),
        Fault(method="PUT", lost=True, times=3),
        Fault(method="POST", lost=True, times=3),
        Fault(method="PATCH", rate=400_000, times=None),
        Fault(method="GET", path="/blobs/", cut_response=5_000, times=3),
        Fault(method="GET", path="/blobs/", length=10, times=None),
        Fault(method="GET", path="/manifests/", cut_response=100, times=2),
    ],
    ids=shown,
)
def test_a_fault_that_passes(registry: DockerRegistry, tmp_path: Path, fault: Fault) -> None:
    with FaultyProxy(registry.host) as proxy:
        proxy.fail(fault)
        there = connect(proxy.url)
        raw, sent = push(there)
        assert sent <= 2 * TOTAL
        check(there, raw, tmp_path / "home")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault(path="/v2/", status=429, times=None), Unreachable, "429"),
        (Fault(path="/v2/", status=429, headers={"Retry-After": "3600"}), Unreachable, "wait 3600 seconds"),
        (Fault(path="/v2/", status=500, times=None), Unreachable, "500"),
        (Fault(path="/v2/", lost=True, times=None), Unreachable, "closed the connection"),
        (Fault(method="GET", path="/blobs/", flip=7, times=None), IntegrityError, "wanted"),
        (Fault(method="GET", path="/blobs/", truncate=7, times=None), TaskImageError, "bytes"),
        (Fault(method="GET", path="/manifests/", flip=7, times=None), IntegrityError, "wanted"),
        (Fault(method="GET", path="/manifests/", truncate=7, times=None), IntegrityError, "wanted"),
        (Fault(method="GET", path="/manifests/", status=200, body=b"<html>", times=None), Unreachable, "manifest"),
    ],
    ids=shown,
)  # fmt: skip
def test_a_fault_that_stays_is_a_clear_error(
    registry: DockerRegistry, tmp_path: Path, fault: Fault, error: type[TaskImageError], words: str
) -> None:
    push(connect(registry.url))
    store = Store(tmp_path / "home")
    with FaultyProxy(registry.host) as proxy:
        proxy.fail(fault)
        with pytest.raises(error) as caught:
            pull(connect(proxy.url), store)
    assert words in str(caught.value)
    assert proxy.host in str(caught.value)
    whole(store)


def test_a_redirect_to_another_host_takes_no_credentials_along(tmp_path: Path) -> None:
    with (
        docker_registry(tmp_path, **with_users(tmp_path)) as registry,
        FaultyProxy(registry.host) as proxy,
        FaultyProxy(registry.host) as elsewhere,
    ):
        there = connect(proxy.url, known=credential())
        push(there)
        proxy.fail(Fault(method="GET", path="/blobs/", redirect=elsewhere.url, times=None))
        # The other host is the registry again, which wants to know who asks.
        with pytest.raises(NotAllowed):
            pull(there, Store(tmp_path / "home"))
        assert elsewhere.requests
        assert {one.authorization for one in elsewhere.requests} == {""}
        assert CANARY not in repr(elsewhere.requests)


def test_the_registry_killed_and_restarted_during_a_push(registry: DockerRegistry, tmp_path: Path) -> None:
    there = connect(registry.url, patient=(0.3, 0.5, 1.0, 1.0))
    sizes = [200_000] * 30
    at = threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            at.set()
            time.sleep(0.01)
            return super().read(size)

    def work(item: int) -> None:
        if item == 30:
            at.wait()
            registry.kill()
            time.sleep(0.3)
            registry.start()
            return
        descriptor, open_blob = blob(sizes[item], item)
        there.upload(descriptor, lambda: Slow(open_blob().read()))

    Crew.run(work, [30, *range(30)])
    raw, sent = push(there, sizes)
    assert sent == 0
    check(there, raw, tmp_path / "home")
