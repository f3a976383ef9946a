"""Pinning: what a tag means now, asked of the registry for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskimage import Image, NotAllowed, NotFound, Reference, Unreachable, pin
from taskimage.adapters.registry import Registries
from taskimage.adapters.settings import RegistrySettings, Settings
from taskimage.cli import main
from taskimage.model.errors import InvalidReference
from taskimage.model.oci import Platform
from taskimage.testing import Fault, MadeImage, Registry, make_image, make_index
from taskimage.verbs.pin import pin_all

LAYERS = [{"etc/motd": b"hello"}]


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def two_platforms() -> tuple[MadeImage, MadeImage, MadeImage]:
    """An index, and the images for amd64 and arm64 in it."""
    amd64, arm64 = (make_image(LAYERS, platform=f"linux/{name}") for name in ("amd64", "arm64"))
    return make_index([amd64, arm64]), amd64, arm64


def test_a_tag_is_pinned_by_one_request_without_a_body(registry: Registry, settings: Settings) -> None:
    digest = registry.put_image("app:v1", make_image(LAYERS))
    found = pin(f"{registry.host}/app:v1", settings=settings)
    assert str(found) == f"{registry.host}/app:v1@{digest}"
    assert [one.method for one in registry.requests] == ["HEAD"]


def test_an_identifier_without_a_tag_means_latest(registry: Registry, settings: Settings) -> None:
    digest = registry.put_image("app:latest", make_image(LAYERS))
    assert str(pin(f"{registry.host}/app", settings=settings)) == f"{registry.host}/app:latest@{digest}"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="HEAD", status=405),
        Fault(method="HEAD", headers={"Docker-Content-Digest": ""}),
        Fault(method="HEAD", headers={"Docker-Content-Digest": "sha256:short"}),
        Fault(method="HEAD", headers={"Content-Type": "text/plain"}),
    ],
    ids=["HEAD is not allowed", "no digest", "no proper digest", "no media type"],
)
def test_where_head_does_not_tell_the_manifest_is_fetched_and_hashed(
    registry: Registry, settings: Settings, fault: Fault
) -> None:
    digest = registry.put_image("app:v1", make_image(LAYERS))
    registry.fail(fault)
    assert pin(f"{registry.host}/app:v1", settings=settings).digest == digest
    assert [one.method for one in registry.requests] == ["HEAD", "GET"]


def test_what_is_pinned_already_is_not_asked_about(registry: Registry, settings: Settings) -> None:
    pinned = Reference.parse(f"{registry.host}/app:v1@sha256:{'0' * 64}")
    assert pin(pinned, settings=settings) is pinned
    assert registry.requests == ()


def test_of_an_index_the_digest_is_the_index_s_or_that_of_a_platform(
    registry: Registry, settings: Settings
) -> None:
    index, amd64, arm64 = two_platforms()
    registry.put_image("app:v1", index)
    name = f"{registry.host}/app:v1"
    assert pin(name, settings=settings).digest == index.digest
    for platform, image in (("linux/amd64", amd64), ("linux/arm64", arm64), ("linux/arm64/v8", arm64)):
        assert pin(name, platform=Platform.parse(platform), settings=settings).digest == image.digest
    with pytest.raises(NotFound, match="no image for linux/s390x; its platforms: linux/amd64, linux/arm64"):
        pin(name, platform=Platform.parse("linux/s390x"), settings=settings)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (Fault(code="MANIFEST_UNKNOWN", times=None), NotFound, "there is no image"),
        (Fault(code="UNAUTHORIZED", times=None), NotAllowed, "answered 401 Unauthorized"),
        (Fault(status=429, headers={"Retry-After": "600"}, times=None), Unreachable, "429 Too Many Requests"),
    ],
    ids=["absent", "no credentials", "too many requests"],
)
def test_what_is_no_answer_is_an_error_that_names_registry_and_request(
    registry: Registry, settings: Settings, fault: Fault, error: type[Exception], said: str
) -> None:
    registry.fail(fault)
    with pytest.raises(error, match=said) as caught:
        pin(f"{registry.host}/app:v1", settings=settings)
    assert f"{registry.host}/app" in str(caught.value)


def test_a_thousand_identifiers_take_a_request_each_and_keep_their_order(
    registry: Registry, settings: Settings
) -> None:
    image = make_image(LAYERS)
    names = [f"{registry.host}/team/app:{number}" for number in range(1000)]
    registry.put_image("team/app:0", image)
    for name in names:
        registry.put_manifest("team/app", name.rpartition(":")[2], image.media_type, image.manifest)
    found = pin_all([*names, names[0]], settings=settings)
    assert [str(one) for one in found] == [f"{name}@{image.digest}" for name in [*names, names[0]]]
    assert len(registry.requests) == 1000


def test_one_registry_is_asked_a_few_things_at_a_time(registry: Registry, settings: Settings) -> None:
    """However many threads pin, through one pool."""
    registry.put_image("app:v1", make_image(LAYERS))
    at_once: list[int] = []
    under_way = threading.Semaphore(100)

    def arrived() -> None:
        at_once.append(100 - under_way._value + 1)
        with under_way:
            time.sleep(0.01)

    registry.fail(Fault(times=None, before=arrived))
    registries = Registries(settings)
    names = [f"{registry.host}/app:{number}" for number in range(40)]
    threads = [
        threading.Thread(target=pin_all, args=(names,), kwargs={"registries": registries}) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 < max(at_once) <= 8


def test_a_registry_that_asks_for_patience_gets_it(registry: Registry, settings: Settings) -> None:
    """No request goes out before the pause that one of them was told of is over."""
    digest = registry.put_image("app:v1", make_image(LAYERS))
    registry.fail(Fault(status=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    assert pin(f"{registry.host}/app:v1", settings=settings).digest == digest
    assert time.monotonic() - began >= 1


def test_a_mirror_answers_for_its_registry_and_is_passed_over_when_it_does_not(
    registry: Registry, tmp_path: Path
) -> None:
    digest = registry.put_image("app:v1", make_image(LAYERS))
    with Registry() as mirror:
        settings = Settings(
            home=tmp_path, registries={registry.host: RegistrySettings(mirrors=(f"{mirror.host}/proxy",))}
        )
        assert pin(f"{registry.host}/app:v1", settings=settings).digest == digest
        assert len(mirror.requests) == 1
        other = mirror.put_image("proxy/app:v1", make_image([{"a": b"other"}]))
        registry.clear_requests()
        assert pin(f"{registry.host}/app:v1", settings=settings).digest == other
        assert registry.requests == ()


def test_an_image_is_pinned_to_a_digest(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKIMAGE_HOME", str(tmp_path))
    digest = registry.put_image("app:v1", make_image(LAYERS))
    image = Image("train", f"{registry.host}/app", tag="v1")
    assert image.pin() == Image("train", f"{registry.host}/app", digest=str(digest))
    assert image.pin().full == f"{registry.host}/app@{digest}"


def test_the_command_prints_what_it_can_and_fails_for_the_rest(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKIMAGE_HOME", str(tmp_path))
    digest = registry.put_image("app:v1", make_image(LAYERS))
    names = [f"{registry.host}/app:v2", "Not/An/Image", f"{registry.host}/app:v1"]
    assert main(["pin", *names]) == 3
    out, err = capsys.readouterr()
    assert out == f"{registry.host}/app:v1@{digest}\n"
    assert "app:v2" in err
    assert "Not/An/Image" in err


def test_an_image_for_one_platform_is_pinned_for_that_and_no_other(
    registry: Registry, settings: Settings
) -> None:
    digest = registry.put_image("app:v1", make_image(LAYERS, platform="linux/amd64"))
    name = f"{registry.host}/app:v1"
    assert pin(name, platform=Platform.parse("linux/amd64"), settings=settings).digest == digest
    with pytest.raises(NotFound, match="the image is for linux/amd64, and linux/arm64 is wanted"):
        pin(name, platform=Platform.parse("linux/arm64"), settings=settings)


def test_a_mirror_that_is_down_costs_no_patience(registry: Registry, tmp_path: Path) -> None:
    digest = registry.put_image("app:v1", make_image(LAYERS))
    with Registry() as mirror:
        mirror.fail(Fault(status=500, times=None))
        settings = Settings(
            home=tmp_path, registries={registry.host: RegistrySettings(mirrors=(mirror.host,))}
        )
        assert pin(f"{registry.host}/app:v1", settings=settings).digest == digest
        assert len(mirror.requests) == 1


def test_what_names_no_image_is_refused_before_anybody_is_asked(
    registry: Registry, settings: Settings
) -> None:
    with pytest.raises(InvalidReference):
        pin(f"{registry.host}/App:v1", settings=settings)
    assert registry.requests == ()
