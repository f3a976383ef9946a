"""Images come from registries to the store when somebody wants to run them, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskimage.adapters import layout
from taskimage.adapters.settings import RegistrySettings, Settings
from taskimage.adapters.specfiles import host_machine
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotAllowed, NotFound
from taskimage.model.events import Event, Notice
from taskimage.model.oci import Platform
from taskimage.model.reference import Reference
from taskimage.testing import Fault, MadeImage, Registry, make_image, make_index
from taskimage.transform.assemble import BuiltImage
from taskimage.verbs.copy import copy
from taskimage.verbs.pull import pull, pulled
from taskimage.verbs.run import _image
from taskimage.verbs.tools import Tools

HERE = Platform.parse(f"linux/{host_machine()}")


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One with an image for this machine and for another one."""
    with Registry() as registry:
        registry.put_image("team/app:v1", for_everybody())
        yield registry


def for_everybody(*, docker: bool = False) -> MadeImage:
    parts = [
        make_image([{"etc/arch": name.encode()}], platform=name, docker=docker)
        for name in ("linux/s390x", str(HERE), "linux/riscv64")
    ]
    return make_index(parts, docker=docker)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """Those of a machine with nothing on it."""
    return Tools(Settings(home=tmp_path / "home"))


def wanted(tools: Tools, target: str) -> BuiltImage:
    """The image that a command would be run in."""
    return _image(tools, target)[1]


def asked(registry: Registry) -> list[str]:
    found = [one.path for one in registry.requests]
    registry.clear_requests()
    return found


def test_one_platform_is_pulled_with_its_layers_and_named(registry: Registry, tools: Tools) -> None:
    reference = Reference.parse(f"{registry.host}/team/app:v1")
    found = pull(tools, reference, platform=HERE)
    assert found.digest == for_everybody().parts[1].digest
    assert list(layout.images(tools.store)) == [str(reference)]
    assert all(
        tools.store.read_blob(layer.digest)
        for layer in layout.load(tools.store, found.digest).manifest.layers
    )
    assert not any(
        "s390x" in str(path.read_bytes()) for path in tools.store.home.rglob("*") if path.is_file()
    )
    known = pulled(tools, reference)
    assert known is not None
    assert known.digest == found.digest


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_what_the_store_does_not_know_is_pulled_and_told_and_then_known(
    registry: Registry, tmp_path: Path, *, docker: bool
) -> None:
    events: list[Event] = []
    tools = Tools(Settings(home=tmp_path / "home"), events.append)
    registry.put_image("team/app:latest", for_everybody(docker=docker))
    target = f"{registry.host}/team/app"
    image = wanted(tools, target)
    assert image.digest == for_everybody(docker=docker).parts[1].digest
    assert [one.text for one in events if isinstance(one, Notice)] == [
        f"pulling {target}, which the store does not have"
    ]
    asked(registry)
    for same in (target, f"{target}:latest"):
        assert wanted(tools, same).digest == image.digest
    assert asked(registry) == []


def test_the_digest_of_an_index_is_pulled_once(registry: Registry, tools: Tools) -> None:
    target = f"{registry.host}/team/app@{for_everybody().digest}"
    assert wanted(tools, target).digest == for_everybody().parts[1].digest
    asked(registry)
    assert wanted(tools, target).digest == for_everybody().parts[1].digest
    assert asked(registry) == []


def test_an_image_that_is_nowhere_is_not_found(registry: Registry, tools: Tools) -> None:
    with pytest.raises(NotFound, match="there is no image"):
        wanted(tools, f"{registry.host}/team/app:v2")
    registry.fail(Fault(path="/manifests/", code="DENIED", times=None))
    with pytest.raises(NotAllowed):
        wanted(tools, f"{registry.host}/team/app:v1")
    assert layout.images(tools.store) == {}


def test_a_pull_that_failed_goes_on_with_what_is_missing(registry: Registry, tools: Tools) -> None:
    image = make_image([{f"etc/{n}": bytes([n])} for n in range(9)], platform=str(HERE))
    registry.put_image("many:v1", image)
    reference = Reference.parse(f"{registry.host}/many:v1")
    last = Digest.of(image.blobs[-1])
    registry.fail(Fault(method="GET", path=str(last), code="BLOB_UNKNOWN", delay=0.5))
    with pytest.raises(NotFound):
        pull(tools, reference, platform=HERE)
    assert pulled(tools, reference) is None
    asked(registry)
    pull(tools, reference, platform=HERE)
    assert [path for path in asked(registry) if "/blobs/" in path] == [f"/v2/many/blobs/{last}"]
    assert pulled(tools, reference) is not None


def test_a_mirror_is_asked_first(registry: Registry, tmp_path: Path) -> None:
    registry.put_image("mirror/team/app:v1", for_everybody())
    settings = Settings(
        home=tmp_path / "home",
        registries={"example.com": RegistrySettings(mirrors=(f"{registry.host}/mirror",))},
    )
    found = wanted(Tools(settings), "example.com/team/app:v1")
    assert found.digest == for_everybody().parts[1].digest
    assert all(path.startswith("/v2/mirror/team/app/") for path in asked(registry) if path != "/v2/")


def test_a_layout_is_run_as_it_lies_there_for_this_machine(
    registry: Registry, tools: Tools, tmp_path: Path
) -> None:
    copy(f"{registry.host}/team/app:v1", f"oci:{tmp_path}/out:app", settings=tools.settings)
    for target in (
        f"oci:{tmp_path}/out",
        f"oci:{tmp_path}/out:app",
        f"oci:{tmp_path}/out@{for_everybody().digest}",
    ):
        store, image = _image(tools, target)
        assert image.digest == for_everybody().parts[1].digest
        assert isinstance(store, Store)
        assert store.layout == tmp_path / "out"


def test_an_archive_has_to_be_unpacked_first(tools: Tools) -> None:
    with pytest.raises(BadInput, match=r"taskimage copy docker-archive:a\.tar oci:FOLDER"):
        wanted(tools, "docker-archive:a.tar")
