"""How a container of a task image starts."""

from __future__ import annotations

import pytest

from taskimage.model.oci import ExecutionConfig
from taskimage.transform.runtime import environment_of_commands, runtime_config


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


def test_without_an_entrypoint_python_starts_and_an_empty_one_leaves_it_to_the_task() -> None:
    assert runtime_config(image_id="x", entrypoint=None).cmd == ("python",)
    config = runtime_config(image_id="x", entrypoint=[])
    assert (config.entrypoint, config.cmd) == ((), ())


@pytest.mark.parametrize(
    "value", ["", " ", "two  words", "a\nb", "\"q\" 'q' \\", "a=b", "\u00fc\u2192", "100%", "#"]
)
def test_a_value_is_the_spec_s_to_the_letter(value: str) -> None:
    assert runtime_config(image_id="x", env={"V": value}).environment["V"] == value


def test_what_flytekit_installs_when_a_task_starts_is_in_its_own_variable() -> None:
    environment = runtime_config(image_id="x", runtime_packages=["a==1", "b"]).environment
    assert environment["_F_RUNTIME_PACKAGES"] == "a==1 b"
    assert "_F_RUNTIME_PACKAGES" not in runtime_config(image_id="x").environment


def test_authorities_of_one_s_own_are_looked_for_where_they_are_unless_the_spec_says_other() -> None:
    mine = runtime_config(image_id="x", own_authorities=True, env={"REQUESTS_CA_BUNDLE": "/mine"}).environment
    assert mine["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert mine["REQUESTS_CA_BUNDLE"] == "/mine"
    assert "SSL_CERT_FILE" not in runtime_config(image_id="x").environment


def test_commands_see_the_environment_of_a_container_but_for_the_image_s_id() -> None:
    seen = environment_of_commands(env={"A": "$HOME/b"})
    assert seen == {
        k: v
        for k, v in runtime_config(image_id="x", env={"A": "$HOME/b"}).environment.items()
        if k != "_F_IMG_ID"
    }


# -- on a base image -----------------------------------------------------------------------------------------

CUDA = ExecutionConfig(
    env=(
        "PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/bin",
        "CUDA_VERSION=12.4.1",
        "NVIDIA_VISIBLE_DEVICES=all",
        "LD_LIBRARY_PATH=/usr/local/cuda/compat/lib:/usr/local/nvidia/lib64",
        "HOME=/home/ubuntu",
    ),
    entrypoint=("/opt/nvidia/nvidia_entrypoint.sh",),
    cmd=("/bin/bash",),
    user="ubuntu",
    working_dir="/workspace",
    labels={
        "com.nvidia.volumes.needed": "nvidia_driver",
        "org.opencontainers.image.version": "22.04",
        "org.label-schema.name": "somebody's",
    },
)


def on(base: ExecutionConfig, **env: str) -> dict[str, str]:
    return runtime_config(image_id="x", base=base, env=env).environment


def test_variables_of_the_base_are_kept_and_ours_win() -> None:
    environment = on(CUDA)
    assert environment["CUDA_VERSION"] == "12.4.1"
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["HOME"] == "/home/flytekit"
    assert environment["_F_IMG_ID"] == "x"


@pytest.mark.parametrize(
    ("base", "path"),
    [
        (["PATH=/usr/bin:/bin"], "/opt/venv/bin:/usr/bin:/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin"),
        (["PATH=/usr/local/cuda/bin:/bin"], "/opt/venv/bin:/usr/local/cuda/bin:/bin:/usr/local/nvidia/bin"),
        (
            ["PATH=:/bin:/opt/venv/bin::/bin:"],
            "/opt/venv/bin:/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin",
        ),
    ],
)
def test_the_environment_comes_before_the_folders_of_the_base_each_of_which_is_there_once(
    base: list[str], path: str
) -> None:
    assert on(ExecutionConfig(env=tuple(base)))["PATH"] == path


@pytest.mark.parametrize("base", [(), ("PATH=",)])
def test_a_base_without_a_path_gets_the_usual_one(base: tuple[str, ...]) -> None:
    assert on(ExecutionConfig(env=base))["PATH"] == runtime_config(image_id="x").environment["PATH"]


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ((), "/usr/local/nvidia/lib64"),
        (("LD_LIBRARY_PATH=/opt/lib:",), "/opt/lib:/usr/local/nvidia/lib64"),
        (
            ("LD_LIBRARY_PATH=/usr/local/cuda/compat/lib:/usr/local/nvidia/lib64:/opt/lib",),
            "/usr/local/cuda/compat/lib:/usr/local/nvidia/lib64:/opt/lib",
        ),
    ],
)
def test_libraries_of_the_base_are_found_in_the_order_that_it_has(base: tuple[str, ...], path: str) -> None:
    assert on(ExecutionConfig(env=base))["LD_LIBRARY_PATH"] == path


def test_the_base_leads_python_nowhere() -> None:
    environment = on(
        ExecutionConfig(env=("PYTHONPATH=/opt/spark/python", "PYTHONHOME=/usr", "VIRTUAL_ENV=/app/.venv"))
    )
    assert environment["PYTHONPATH"] == "/root"
    assert not {"PYTHONHOME", "VIRTUAL_ENV"} & environment.keys()


def test_a_variable_of_the_base_can_be_named_in_the_spec_s() -> None:
    base = ExecutionConfig(env=("SPARK_HOME=/opt/spark", "PYTHONPATH=/elsewhere"))
    environment = on(base, PYTHONPATH="$PYTHONPATH:$SPARK_HOME/python", SPARK_HOME="/srv")
    assert environment["PYTHONPATH"] == "/root:/opt/spark/python"
    assert environment["SPARK_HOME"] == "/srv"


def test_who_runs_what_and_where_is_as_without_a_base() -> None:
    alone, config = runtime_config(image_id="x"), runtime_config(image_id="x", base=CUDA)
    assert (config.entrypoint, config.cmd, config.user, config.working_dir) == (
        alone.entrypoint,
        alone.cmd,
        alone.user,
        alone.working_dir,
    )


def test_labels_of_the_base_are_kept_but_for_those_that_say_what_the_image_is() -> None:
    config = runtime_config(image_id="x", base=CUDA, labels={"ours": "1"})
    assert config.labels == {"com.nvidia.volumes.needed": "nvidia_driver", "ours": "1"}
    assert runtime_config(image_id="x", base=config, labels={"ours": "2"}).labels["ours"] == "2"


def test_other_properties_of_the_base_are_kept_but_for_those_of_its_own_build() -> None:
    kept = {"ExposedPorts": {"8888/tcp": {}}, "Healthcheck": {"Test": ["NONE"]}, "StopSignal": "SIGINT"}
    of_its_build = {"OnBuild": ["COPY . /app"], "Image": "sha256:0", "Hostname": "0a1b", "Domainname": ""}
    config = runtime_config(image_id="x", base=ExecutionConfig(other={**kept, **of_its_build}))
    assert config.other == kept
    assert kept.items() <= config.to_dict().items()
