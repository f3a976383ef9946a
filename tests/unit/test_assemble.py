"""Assembling: two documents that agree with each other and depend on nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import LAYER_GZIP, Descriptor, ExecutionConfig, Platform
from taskimage.transform.assemble import LAYER_KEY, BuiltImage, Layer, assemble
from taskimage.transform.runtime import runtime_config

AMD64 = Platform("linux", "amd64")


def layer(content: bytes) -> Layer:
    """A layer that is nowhere."""
    descriptor = Descriptor(
        media_type=LAYER_GZIP,
        digest=Digest.of(content),
        size=len(content),
        annotations={LAYER_KEY: str(Digest.of(b"key of " + content))},
    )
    return Layer(descriptor=descriptor, diff_id=Digest.of(b"tar of " + content), origin=content.decode())


def built(**changes: Any) -> BuiltImage:
    """A small image."""
    arguments: dict[str, Any] = {"platform": AMD64, **changes}
    return assemble([layer(b"base"), layer(b"numpy 2.0")], ExecutionConfig(user="1000:0"), **arguments)


def test_layers_keep_their_order_in_manifest_diff_ids_and_history() -> None:
    manifest = json.loads(built().manifest_bytes)
    config = json.loads(built().config_bytes)
    assert [one["digest"] for one in manifest["layers"]] == [
        str(layer(name).descriptor.digest) for name in (b"base", b"numpy 2.0")
    ]
    assert config["rootfs"]["diff_ids"] == [str(layer(name).diff_id) for name in (b"base", b"numpy 2.0")]
    assert [one["created_by"] for one in config["history"]] == ["base", "numpy 2.0"]


def test_the_manifest_names_the_bytes_of_the_configuration() -> None:
    image = built()
    manifest = json.loads(image.manifest_bytes)
    assert manifest["config"]["digest"] == "sha256:" + hashlib.sha256(image.config_bytes).hexdigest()
    assert manifest["config"]["size"] == len(image.config_bytes)


def test_the_descriptor_is_of_the_manifest() -> None:
    image = built()
    assert image.descriptor.digest == image.digest == Digest.of(image.manifest_bytes)
    assert (image.descriptor.size, image.descriptor.platform) == (len(image.manifest_bytes), AMD64)


def test_layers_carry_the_keys_of_their_inputs_into_the_manifest() -> None:
    manifest = json.loads(built().manifest_bytes)
    assert manifest["layers"][0]["annotations"] == {LAYER_KEY: str(Digest.of(b"key of base"))}


def test_the_time_of_creation_is_a_constant_unless_it_is_given() -> None:
    config = json.loads(built().config_bytes)
    assert config["created"] == "2000-01-01T00:00:00Z"
    config = json.loads(built(created=1_600_000_000).config_bytes)
    assert config["created"] == "2020-09-13T12:26:40Z"
    assert {one["created"] for one in config["history"]} == {"2020-09-13T12:26:40Z"}


@pytest.mark.parametrize("seconds", [253402300800, 10**30])
def test_a_time_beyond_all_calendars_is_bad_input(seconds: int) -> None:
    with pytest.raises(BadInput, match="seconds since 1970"):
        built(created=seconds)


def test_facts_stand_in_the_manifest_and_as_labels() -> None:
    image = built(annotations={"a": "1"})
    facts = {"a": "1", "org.opencontainers.image.created": "2000-01-01T00:00:00Z"}
    assert json.loads(image.manifest_bytes)["annotations"] == facts
    assert json.loads(image.config_bytes)["config"]["Labels"] == facts


def test_labels_of_the_execution_win_over_facts() -> None:
    execution = ExecutionConfig(labels={"a": "mine"})
    image = assemble([layer(b"x")], execution, platform=AMD64, annotations={"a": "1"})
    assert image.config.execution.labels["a"] == "mine"


def test_an_image_is_read_back_from_its_two_documents() -> None:
    image = built()
    assert BuiltImage.parse(image.manifest_bytes, image.config_bytes) == image


def test_documents_that_are_none_are_bad_input() -> None:
    with pytest.raises(BadInput, match="manifest: not JSON"):
        BuiltImage.parse(b"", b"{}")


def test_a_task_image_starts_as_the_default_image_of_flytekit_does() -> None:
    runtime = runtime_config(image_id="abc")
    assert runtime.environment == {
        "PATH": "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ":/usr/local/nvidia/bin:/usr/local/cuda/bin",
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",
        "PYTHONPATH": "/root",
        "HOME": "/home/flytekit",
        "UV_PYTHON": "/opt/venv/bin/python",
        "SSL_CERT_DIR": "/etc/ssl/certs",
        "FLYTE_SDK_RICH_TRACEBACKS": "0",
        "_F_IMG_ID": "abc",
    }
    assert (runtime.user, runtime.working_dir) == ("1000:0", "/root")


def test_the_variables_of_the_spec_win_and_come_once() -> None:
    runtime = runtime_config(image_id="abc", env={"PYTHONPATH": "/src", "NEW": "a=b c"})
    assert len([text for text in runtime.env if text.startswith("PYTHONPATH=")]) == 1
    assert runtime.environment["PYTHONPATH"] == "/src"
    assert runtime.env[-1] == "NEW=a=b c"


def test_an_entrypoint_takes_the_place_of_the_default_command() -> None:
    assert runtime_config(image_id="x").cmd == ("python",)
    runtime = runtime_config(image_id="x", entrypoint=["/bin/tool", "-v"])
    assert (runtime.entrypoint, runtime.cmd) == (("/bin/tool", "-v"), ())
