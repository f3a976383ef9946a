"""`ImageSpec`: fields, defaults, what it accepts, and how it is kept."""

from __future__ import annotations

import dataclasses
import enum
import pickle
import sys
from importlib import metadata
from typing import Any

import pytest

from taskimage.model.errors import CannotBuild, InvalidSpec, InvalidValue, NotFound
from taskimage.model.oci import Platform
from taskimage.model.spec import FIELDS, ImageSpec
from taskimage.model.spec.builderoptions import BuilderOptions
from taskimage.model.spec.copymode import CopyFileDetection
from taskimage.model.spec.frozen import FrozenMap, freeze, thaw
from taskimage.model.spec.problem import dotted
from taskimage.model.spec.served import check_served, unserved


class Theirs(enum.Enum):
    """As flytekit's enumeration is."""

    NO_COPY = 3


def test_fields_are_flytekits_in_its_order() -> None:
    expected = (
        "name python_version builder source_root env registry packages conda_packages conda_channels requirements "
        "apt_packages cuda cudnn base_image platform pip_index pip_extra_index_url pip_secret_mounts "
        "pip_extra_args registry_config entrypoint commands tag_format source_copy_mode copy python_exec "
        "runtime_packages builder_options builder_config"
    )
    assert " ".join(FIELDS) == expected


def test_only_the_name_has_a_default() -> None:
    spec = ImageSpec()
    assert {name: getattr(spec, name) for name in FIELDS if getattr(spec, name) is not None} == {
        "name": "flytekit"
    }


def test_lists_tuples_and_dicts_are_kept_as_values() -> None:
    spec = ImageSpec(
        packages=["b", "a"], env={"A": "1"}, builder_options={"taskimage": {"waive_scripts": ["x"]}}
    )
    same = ImageSpec(
        packages=("b", "a"), env={"A": "1"}, builder_options={"taskimage": {"waive_scripts": ("x",)}}
    )
    assert spec == same
    assert hash(spec) == hash(same)
    assert spec.packages == ("b", "a")
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - our own bytes


def test_a_mapping_given_cannot_change_the_spec_later() -> None:
    env = {"A": "1"}
    spec = ImageSpec(env=env)
    env["A"] = "2"
    assert spec.env == {"A": "1"}


def test_a_field_cannot_be_set() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ImageSpec().name = "other"  # type: ignore[misc]


def test_name_and_registry_are_in_lower_case() -> None:
    spec = ImageSpec(name="Team/Demo", registry="GHCR.io/Me")
    assert (spec.name, spec.registry) == ("team/demo", "ghcr.io/me")


def test_credentials_are_neither_in_the_repr_nor_in_messages() -> None:
    secret = "https://me:hunter2@example.org/simple"
    assert "hunter2" not in repr(ImageSpec(pip_index=secret, pip_extra_index_url=[secret]))
    with pytest.raises(InvalidSpec) as caught:
        ImageSpec(pip_index=f"{secret}\n")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(unserved(ImageSpec(packages=[f"-i {secret}"])))


GOOD: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "a/b.c_d__e-f--g"},
    {"python_version": "3.10"},
    {"python_version": "3.12.4"},
    {"registry": ""},
    {"registry": "localhost:30000"},
    {"registry": "ghcr.io/a/b"},
    {"packages": []},
    {"entrypoint": []},
    {"entrypoint": ["sh", "-c", "a\nb"]},
    {"env": {"A": "", "B": "a\nb", "C.D-E": "x"}},
    {"platform": "linux/amd64"},
    {"platform": "linux/amd64,linux/aarch64"},
    {"tag_format": "latest"},
    {"tag_format": "{spec_hash}"},
    {"tag_format": "v1-{spec_hash:.8}.x"},
    {"tag_format": ""},
    {"copy": ["a", "./b/", "."]},
    {"pip_secret_mounts": [("a", "b")]},
    {"pip_secret_mounts": [["a", "b"]]},
    {"source_root": "src", "source_copy_mode": "all"},
    {"source_root": "src", "source_copy_mode": "Auto"},
    {"source_root": "src", "source_copy_mode": CopyFileDetection.LOADED_MODULES},
    {"source_copy_mode": "none"},
    {"builder_options": {"taskimage": None}},
    {"builder_options": {"taskimage": {"runtime": "none", "suite": "trixie", "bytecode": None}}},
]

BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name is empty; wanted text"),
    ({"name": ""}, "name is ''"),
    ({"name": "a b"}, "name is 'a b'"),
    ({"name": "-a"}, "name is '-a'"),
    ({"python_version": 3.1}, "python_version is 3.1; wanted text"),
    ({"python_version": "2.7"}, "a version of Python 3"),
    ({"python_version": "3"}, "a version of Python 3"),
    ({"python_version": "3.11\n"}, "a version of Python 3"),
    ({"registry": "ghcr.io/"}, "registry is 'ghcr.io/'"),
    ({"registry": "https://ghcr.io"}, "registry is"),
    ({"packages": "numpy"}, "packages is 'numpy'; wanted a list of text"),
    ({"packages": [1.5]}, "packages[0] is 1.5; wanted text"),
    ({"packages": ["a\n-r b"]}, "packages[0] is"),
    ({"packages": [" "]}, "packages[0] is"),
    ({"env": ["A=b"]}, "env is ['A=b']; wanted a mapping"),
    ({"env": {"A=B": "c"}}, "'A=B' is not a name"),
    ({"env": {True: "c"}}, "True is not a name"),
    ({"env": {"A": None}}, "env.A is empty"),
    ({"env": {"A": "\0"}}, "without NUL"),
    ({"env": {"A": "\ud800"}}, "surrogate"),
    ({"platform": "windows/amd64"}, "not a platform"),
    ({"tag_format": "{spec_hash.__class__}"}, "tag_format is"),
    ({"tag_format": "{0}"}, "tag_format is"),
    ({"tag_format": "{spec_hash!r}"}, "tag_format is"),
    ({"tag_format": "{spec_hash:>9999999}"}, "tag_format is"),
    ({"tag_format": "{spec_hash"}, "tag_format is"),
    ({"tag_format": "a b"}, "tag_format is"),
    ({"tag_format": "-{spec_hash}"}, "tag_format is"),
    ({"copy": ["/etc"]}, "copy[0] is '/etc'"),
    ({"copy": ["a/../b"]}, "copy[0] is"),
    ({"copy": [""]}, "copy[0] is ''"),
    ({"requirements": ""}, "requirements is ''"),
    ({"source_root": ""}, "source_root is ''"),
    ({"source_copy_mode": "all"}, "source_root is not"),
    (
        {"source_root": "a", "source_copy_mode": "loaded"},
        "source_copy_mode is 'loaded'; wanted one of all, auto, none",
    ),
    ({"source_root": "a", "source_copy_mode": 2}, "wanted one of all, auto, none"),
    ({"pip_secret_mounts": ["a"]}, "pip_secret_mounts[0] is 'a'"),
    ({"builder_options": []}, "builder_options is []; wanted a mapping"),
    ({"builder_options": {"taskimage": 1}}, "builder_options.taskimage is 1"),
    ({"builder_options": {"taskimage": {"bytecode": 1}}}, "bytecode is 1; wanted true or false"),
    ({"builder_options": {"taskimage": {"suite": "../x"}}}, "suite is '../x'"),
    ({"builder_options": {"taskimage": {"runtime": "flyte"}}}, "flytekit or none"),
    ({"builder_options": {"taskimage": {"waive_scripts": "x"}}}, "waive_scripts is 'x'"),
    ({"builder_options": {"taskimage": {"byte_code": True}}}, "unknown switch 'byte_code'"),
    ({"builder_options": {"task_image": {}}}, "unknown builder 'task_image'"),
    ({"builder_options": {"x": object}}, "wanted text, a number"),
]


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_sound_values_are_accepted(values: dict[str, Any]) -> None:
    ImageSpec(**values)


@pytest.mark.parametrize(("values", "message"), BAD, ids=[repr(values) for values, _ in BAD])
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        ImageSpec(**values)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_problems_are_listed() -> None:
    with pytest.raises(InvalidSpec) as caught:
        ImageSpec(name="a b", packages="numpy", env={"A": 1})  # type: ignore[dict-item]
    assert len(caught.value.problems) == 3


def test_an_unknown_switch_has_a_suggestion() -> None:
    with pytest.raises(InvalidSpec, match=r"did you mean bytecode\?"):
        ImageSpec(builder_options={"taskimage": {"byte_code": True}})


def test_options_have_defaults_and_take_what_is_set() -> None:
    assert ImageSpec().options == BuilderOptions()
    spec = ImageSpec(
        builder_options={"taskimage": {"suite": "trixie", "waive_scripts": ["a"], "bytecode": None}}
    )
    assert spec.options == BuilderOptions(suite="trixie", waive_scripts=("a",))


@pytest.mark.parametrize(
    ("spec", "machine", "expected"),
    [
        (ImageSpec(), "aarch64", "linux/amd64"),
        (ImageSpec(registry="localhost:5000"), "x86_64", "linux/amd64"),
        (ImageSpec(registry="localhost:5000"), "arm64", "linux/arm64"),
        (ImageSpec(registry="localhost.org"), "arm64", "linux/amd64"),
        (ImageSpec(platform="linux/aarch64"), "x86_64", "linux/arm64"),
    ],
)
def test_the_platform_is_flytekits(spec: ImageSpec, machine: str, expected: str) -> None:
    assert spec.platforms(machine=machine) == (Platform.parse(expected),)


class TestAnother:
    """Every method gives another spec and leaves the one that it is asked of as it was."""

    @pytest.mark.parametrize(
        ("method", "field"),
        [
            ("with_packages", "packages"),
            ("with_apt_packages", "apt_packages"),
            ("with_commands", "commands"),
            ("with_copy", "copy"),
            ("with_runtime_packages", "runtime_packages"),
        ],
    )
    def test_one_or_several_are_added_to_what_is_there(self, method: str, field: str) -> None:
        bare = ImageSpec()
        one = getattr(bare, method)("a")
        assert getattr(getattr(one, method)(["b", "c"]), field) == ("a", "b", "c")
        assert getattr(one, field) == ("a",)
        assert bare == ImageSpec()

    def test_options_of_the_same_builder_are_replaced_and_others_stay(self) -> None:
        spec = ImageSpec(builder_options={"taskimage": {"bytecode": False}, "x": 1})
        assert spec.with_builder_options({"taskimage": {"suite": "trixie"}, "y": 2}).builder_options == {
            "taskimage": {"suite": "trixie"},
            "x": 1,
            "y": 2,
        }

    def test_what_makes_no_sense_is_refused(self) -> None:
        with pytest.raises(InvalidSpec, match=r"copy\[0\] is '/etc'"):
            ImageSpec().with_copy("/etc")

    def test_what_is_forced_stays_forced_and_has_the_same_name(self) -> None:
        forced = ImageSpec().force_push().with_packages("a")
        assert forced.forced
        assert not ImageSpec().forced
        assert (forced, forced.id) == (ImageSpec(packages=["a"]), ImageSpec(packages=["a"]).id)


class TestEnvironment:
    """What a spec takes from the Python that runs."""

    def test_packages_are_pinned_at_the_versions_that_are_installed(self) -> None:
        spec = ImageSpec.from_env(pinned_packages=["PyYAML"], packages=["other"], name="x")
        assert spec.packages == ("other", f"PyYAML=={metadata.version('pyyaml')}")
        assert spec.python_version == "{}.{}".format(*sys.version_info)
        assert spec.name == "x"

    def test_what_is_not_installed_is_not_found(self) -> None:
        with pytest.raises(NotFound, match="'no-such' is not installed"):
            ImageSpec.from_env(pinned_packages=["no-such"])

    def test_another_python_version_contradicts_it(self) -> None:
        with pytest.raises(InvalidValue, match="python_version is given"):
            ImageSpec.from_env(python_version="3.11")
        assert ImageSpec.from_env(python_version=None).packages == ()

    @pytest.mark.parametrize(("image", "expected"), [(None, True), ("another", False), ("its own", True)])
    def test_it_knows_its_own_image(
        self,
        monkeypatch: pytest.MonkeyPatch,
        image: str | None,
        expected: bool,  # noqa: FBT001
    ) -> None:
        spec = ImageSpec(name="demo")
        monkeypatch.delenv("_F_IMG_ID", raising=False)
        if image is not None:
            monkeypatch.setenv("_F_IMG_ID", spec.id if image == "its own" else image)
        assert spec.is_container() is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "NO_COPY"),
        ({"source_root": "."}, "LOADED_MODULES"),
        ({"source_root": ".", "source_copy_mode": "AUTO"}, "LOADED_MODULES"),
        ({"source_root": ".", "source_copy_mode": "all"}, "ALL"),
        ({"source_root": ".", "source_copy_mode": "none"}, "NO_COPY"),
        ({"source_root": ".", "source_copy_mode": Theirs.NO_COPY}, "NO_COPY"),
    ],
)
def test_a_mode_is_a_word_or_a_member_of_flytekits_enumeration(values: dict[str, Any], expected: str) -> None:
    spec = ImageSpec(**values)
    assert spec.copies is CopyFileDetection[expected]
    assert not isinstance(spec.source_copy_mode, Theirs)


class TestServed:
    """What this version does not build is named, all of it, and nothing else."""

    def test_everything_that_is_served_passes(self) -> None:
        check_served(
            ImageSpec(
                name="a", python_version="3.11", packages=["numpy"], requirements="r.txt", apt_packages=["git"],
                env={"A": "b"}, copy=["src"], source_root="src", source_copy_mode="all", entrypoint=[],
                platform="linux/amd64,linux/arm64", tag_format="{spec_hash}", registry="localhost:5000",
                base_image="python:3.11-slim", registry_config="config.json",
                conda_packages=["gdal"], conda_channels=["nvidia"],
                pip_index="https://example.org", pip_extra_index_url=["https://example.org"], builder="default",
                commands=["ls"], python_exec="/usr/bin/python3", runtime_packages=["a"],
                builder_config={"uv_image": "uv", "micromamba_image": "micromamba"},
                builder_options={"taskimage": {"suite": "trixie", "network": True, "ca_certificates": ["a.pem"]}},
            )
        )  # fmt: skip

    def test_what_is_empty_asks_for_nothing(self) -> None:
        check_served(
            ImageSpec(conda_packages=[], commands=[], pip_extra_args="", base_image="", builder_config={})
        )

    def test_every_other_field_is_named_at_once(self) -> None:
        spec = ImageSpec(
            cuda="12", cudnn="8", base_image=ImageSpec(), pip_secret_mounts=[("a", "b")], pip_extra_args="--user",
            builder_config={"a": 1}, builder="envd", requirements="pdm.lock", packages=["-r x"],
            builder_options={"other": {}},
        )  # fmt: skip
        with pytest.raises(CannotBuild) as caught:
            check_served(spec)
        assert caught.value.exit_code == 7
        named = {line.split()[0].partition("[")[0] for line in unserved(spec)}
        assert named == {
            "cuda",
            "cudnn",
            "pip_secret_mounts",
            "pip_extra_args",
            "builder_config",
            "builder",
            "requirements",
            "packages",
            "builder_options",
        }

    @pytest.mark.parametrize("name", ["pdm.lock", "Pipfile.lock", "a/Cargo.toml", "pylock.a.b.toml"])
    def test_requirements_of_other_tools_are_not_served(self, name: str) -> None:
        (line,) = unserved(ImageSpec(requirements=name))
        assert "wanted one of requirements.txt, pyproject.toml, pylock.toml, uv.lock, poetry.lock" in line

    @pytest.mark.parametrize("name", ["uv.lock", "a/poetry.lock", "pylock.toml", "pylock.x.toml"])
    def test_nothing_is_added_to_a_lock(self, name: str) -> None:
        """As flytekit has it: a lock and packages exclude each other."""
        (line,) = unserved(ImageSpec(requirements=name, packages=["numpy"]))
        assert line.startswith("packages are named beside a ")
        check_served(ImageSpec(requirements=name, packages=[], pip_extra_args="--extra gpu"))

    def test_parts_are_chosen_of_projects_alone(self) -> None:
        check_served(ImageSpec(requirements="pyproject.toml", packages=["numpy"], pip_extra_args="--group a"))
        (line,) = unserved(ImageSpec(requirements="r.txt", pip_extra_args="--group a"))
        assert "name no project" in line

    def test_secrets_are_known_by_where_they_would_be_mounted(self) -> None:
        check_served(ImageSpec(pip_secret_mounts=[("a", "/root/.netrc"), ("b", "/etc/pip.conf")]))
        (line,) = unserved(ImageSpec(pip_secret_mounts=[("a", "/root/.netrc"), ("b", "/etc/gitconfig")]))
        assert (
            line == "pip_secret_mounts[1] is for '/etc/gitconfig'; wanted a path that ends in netrc, pip.conf"
        )

    def test_an_interpreter_of_a_base_image_wants_one(self) -> None:
        (line,) = unserved(ImageSpec(python_exec="/usr/bin/python3"))
        assert "there is no base_image" in line

    @pytest.mark.parametrize("field", ["cuda", "cudnn"])
    def test_what_chooses_nothing_is_refused_with_the_way(self, field: str) -> None:
        """As flytekit's own builder refuses it."""
        (line,) = unserved(ImageSpec(**{field: "12.4"}))  # type: ignore[arg-type]
        assert "wheels" in line
        assert "base_image" in line


def test_thaw_is_the_opposite_of_freeze() -> None:
    value = {"a": [1, {"b": [None, True]}], "c": {}}
    assert thaw(freeze(value)) == value
    assert repr(thaw(freeze(value))) == repr(value)
    assert isinstance(freeze(value), FrozenMap)


def test_a_key_is_printed_so_that_it_cannot_drive_a_terminal() -> None:
    assert dotted(("env", "\x1b[2J")) == "env['\\x1b[2J']"
