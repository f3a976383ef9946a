"""How a container of a task image starts."""

from __future__ import annotations

import pytest

from taskimage.transform.runtime import runtime_config


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("plain", "plain"),
        ("/x:$PYTHONPATH", "/x:/root"),
        ("${PYTHONPATH}s", "/roots"),
        ("$NOWHERE.", "."),
        (r"\$PYTHONPATH", "$PYTHONPATH"),
        ("100$", "100$"),
        ("$1", "$1"),
    ],
)
def test_a_variable_in_a_value_stands_for_what_the_image_would_have(value: str, means: str) -> None:
    assert runtime_config(image_id="x", env={"V": value}).environment["V"] == means


def test_the_spec_s_variables_win() -> None:
    path = runtime_config(image_id="x", env={"PATH": "/mine:$PATH"}).environment["PATH"]
    assert path.startswith("/mine:/opt/venv/bin:")


def test_the_environment_is_flytekit_s() -> None:
    environment = runtime_config(image_id="an-id").environment
    assert environment["_F_IMG_ID"] == "an-id"
    assert environment["PYTHONPATH"] == "/root"
    assert environment["PATH"].endswith("/usr/local/nvidia/bin:/usr/local/cuda/bin")
    assert environment["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert environment["SSL_CERT_DIR"] == "/etc/ssl/certs"
    assert environment["UV_PYTHON"] == "/opt/venv/bin/python"
    assert environment["FLYTE_SDK_RICH_TRACEBACKS"] == "0"


def test_user_and_group_are_numbers() -> None:
    """Kubernetes cannot tell for a name whether it is root (runAsNonRoot)."""
    assert runtime_config(image_id="x").user == "1000:0"


def test_an_entrypoint_takes_the_place_of_the_command() -> None:
    assert runtime_config(image_id="x").cmd == ("python",)
    config = runtime_config(image_id="x", entrypoint=["tool"])
    assert (config.entrypoint, config.cmd) == (("tool",), ())
