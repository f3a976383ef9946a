"""What the builder for flyte 2 decides without flyte: the order of layers, names, versions, metadata of scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskimage.flyte.v2.builder import check_version
from taskimage.flyte.v2.naming import Name
from taskimage.flyte.v2.orders import ordered
from taskimage.flyte.v2.recipe import Installing, Recipe, Stage
from taskimage.flyte.v2.script import ScriptMetadata
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, CannotBuild
from taskimage.transform.entry import BytesBody
from taskimage.transform.source import SourceFile, SourceTree, merge, source_entries, tree_digest

USUAL = Installing()


def recipe() -> Recipe:
    return Recipe(None, "3.11", [Stage()])


def tree(*paths: str, root: str = "") -> SourceTree:
    return SourceTree.of(
        (
            SourceFile(path=path, executable=False, digest=Digest.of(b""), body=BytesBody(b""))
            for path in paths
        ),
        root=root,
    )


# -- the order of layers ---------------------------------------------------------------------------------------


def test_packages_of_both_kinds_share_an_image_in_any_order() -> None:
    made = recipe()
    made.install(["a"], installing=USUAL)
    made.install_debian(["x"])
    made.copy(tree("home/flyte/f"))
    made.install(["b"], installing=USUAL)
    (stage,) = made.stages
    assert (stage.packages, stage.apt) == (("a", "b"), ("x",))


def test_what_follows_a_command_does_not_precede_it() -> None:
    made = recipe()
    made.run("one")
    made.install(["a"], installing=USUAL)
    made.run("two")
    made.copy(tree("f"))
    assert [(stage.packages, bool(stage.commands), bool(stage.files)) for stage in made.stages] == [
        ((), True, False),
        (("a",), True, False),
        ((), False, True),
    ]


def test_a_variable_that_is_set_later_is_not_seen_by_a_command() -> None:
    made = recipe()
    made.set_env({"A": "1"})
    made.run("one")
    made.set_env({"B": "2"})
    (stage,) = made.stages
    assert (dict(stage.env), dict(stage.command_env)) == ({"A": "1", "B": "2"}, {"A": "1"})


def test_variables_go_into_the_last_image_alone() -> None:
    made = recipe()
    made.set_env({"PATH": "/x:$PATH"})
    made.run("one")
    made.install(["a"], installing=USUAL)
    order = ordered(made, name=Name(registry=None, path="demo", tag="t"), platforms=["linux/amd64"])
    assert order.base is not None
    assert order.loaded.spec.env == {"PATH": "/x:$PATH"}
    assert order.base.loaded.spec.env == {}
    assert order.base.command_env == {"PATH": "/x:$PATH"}


def test_packages_of_other_indexes_are_installed_on_what_is_there() -> None:
    made = recipe()
    made.install(["a"], installing=USUAL)
    made.install(["b"], installing=Installing(index="https://b.example/simple"))
    assert [stage.packages for stage in made.stages] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("before", "now", "stages"),
    [
        ("flyte==2.12.1", "flyte", 1),
        ("flyte==2.12.1", "Flyte>=2", 1),
        ("flyte==2.12.1", "flyte==2.5", 2),
        ("a>=1", "a>=2", 2),
        ("a>=1", "b<1", 1),
        ("a", "not a requirement", 1),
    ],
)
def test_a_version_that_is_named_later_takes_the_place_of_the_first(
    before: str, now: str, stages: int
) -> None:
    made = recipe()
    made.install([before], installing=USUAL)
    made.install([now], installing=USUAL)
    assert len(made.stages) == stages


def test_a_file_is_copied_into_what_is_a_folder_by_then() -> None:
    made = recipe()
    made.enter("/work")
    made.copy(tree("app/pkg/f"))
    assert [made.is_folder(path) for path in ("/work", "/app", "/app/pkg", "/etc", "/app/pkg/f", "/a")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip


# -- files anywhere --------------------------------------------------------------------------------------------


def test_folders_of_the_system_keep_their_owner_when_files_are_copied_into_them() -> None:
    entries = {entry.path: entry for entry in source_entries(tree("opt/app/f", "etc/x/f", "home/flyte/f"))}
    assert set(entries) == {"etc/x/f", "home/flyte", "home/flyte/f", "opt/app", "opt/app/f"}
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(1000, 0)}


@pytest.mark.parametrize("folder", ["/usr/src/app", "/opt/app", "/app", "/home/flyte/x"])
def test_the_folder_where_tasks_start_is_their_users(folder: str) -> None:
    made = recipe()
    made.enter(folder)
    (files,) = made.stages[0].files
    entries = {entry.path: (entry.mode & 0o777, entry.uid) for entry in source_entries(files)}
    assert entries.pop(folder.strip("/")) == (0o775, 1000)
    assert not {"usr", "usr/src", "opt", "home"} & entries.keys()


def test_where_a_tree_begins_is_part_of_its_digest() -> None:
    assert tree_digest(tree("a")) != tree_digest(tree("a", root="root"))
    assert merge([tree("a"), tree("b")], root="") == tree("a", "b")


# -- names, versions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "registry", "expected"),
    [
        ("ghcr.io/org/app", None, "ghcr.io/org/app:t"),
        ("127.0.0.1:5000/app", "ghcr.io/org", "127.0.0.1:5000/app:t"),
        ("app", None, "app:t"),
        ("app", "ghcr.io/org", "ghcr.io/org/app:t"),
        ("ghcr.io/flyteorg/app", "ghcr.io/org", "ghcr.io/org/app:t"),
        ("ghcr.io/flyteorg/app", None, "app:t"),
    ],
)
def test_an_image_that_names_no_registry_goes_to_the_default_one(
    repository: str, registry: str | None, expected: str
) -> None:
    assert str(Name.of_repository(repository, "t", registry=registry)) == expected


@pytest.mark.parametrize("version", ["2.0.0", "2.12.1", "2.99"])
def test_flyte_2_is_served(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["0.2.0", "2.0.0b9", "3.0"])
def test_a_flyte_that_is_too_old_or_too_new_is_named(version: str) -> None:
    with pytest.raises(
        CannotBuild, match=f"flyte {version} is not known to this builder, which serves flyte 2.0"
    ):
        check_version(version)


# -- the metadata of a script ----------------------------------------------------------------------------------

BLOCK = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "six",\n# ]\n# ///\n'


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"#!/usr/bin/env python\n\n{BLOCK}import six\n# ///\n",
        f"# /// other\n# x = 1\n# ///\n\n{BLOCK}",
        BLOCK.replace("# ///\n", "#\n# ///\n"),
    ],
)
def test_the_metadata_of_a_script_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(text)
    found = ScriptMetadata.read(path)
    assert (found.dependencies, found.requires_python) == (("six",), ">=3.11")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 blocks"),
        (BLOCK + "\n" + BLOCK, "has 2 blocks"),
        (BLOCK.replace("# ///\n", ""), "has no end"),
        ("# /// script\n# x\n# ///\n", "is not TOML"),
    ],
)
def test_metadata_that_cannot_be_read_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        ScriptMetadata.read(path)
