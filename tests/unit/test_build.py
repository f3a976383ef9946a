"""Building, end to end on a tiny archive and index of our own: names, tags, and what is not done twice."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from tests.case import Case

from taskimage.adapters.layout import images, load
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.transform.validate import validate


def names(case: Case) -> set[str]:
    """The names that the store has images under."""
    return set(images(Store(case.home)))


def test_without_a_lock_the_tag_is_flytekit_s(case: Case) -> None:
    reference = case.build()
    assert {reference.partition("@")[0]} == names(case)


def test_with_a_lock_the_tag_is_of_the_content_and_flytekit_s_is_there_too(case: Case) -> None:
    flytekit = case.build().partition("@")[0]
    case.lock()
    name, _, digest = case.build().partition("@")
    assert name != flytekit
    assert names(case) == {name, flytekit}
    assert {str(found.digest) for found in images(Store(case.home)).values()} == {digest}


def test_a_tag_of_one_s_own_takes_the_place_of_both(case: Case) -> None:
    assert case.run("build", "-t", "v1", str(case.spec_path))[1].startswith("demo:v1@sha256:")
    assert names(case) == {"demo:v1"}


def test_a_tag_that_no_registry_takes_is_refused_before_any_work(case: Case) -> None:
    assert "not/a/tag" in case.fails(2, "build", "-t", "not/a/tag", str(case.spec_path))


def test_the_setting_names_the_registry_only_where_the_spec_names_none(case: Case) -> None:
    code, out, _ = case.run("build", "--no-push", str(case.spec_path), TASKIMAGE_REGISTRY="ours.example/x")
    assert (code, out.startswith("ours.example/x/demo:")) == (0, True)
    case.spec(registry="theirs.example")
    code, out, _ = case.run("build", "--no-push", str(case.spec_path), TASKIMAGE_REGISTRY="ours.example/x")
    assert (code, out.startswith("theirs.example/demo:")) == (0, True)


def test_what_was_resolved_without_a_lock_is_remembered(case: Case) -> None:
    case.build()
    case.mirror.asked.clear()
    case.index.asked.clear()
    code, _, err = case.run("build", str(case.spec_path))
    assert (code, case.mirror.asked, case.index.asked) == (0, [], [])
    assert "nothing to do" in err


def test_a_lock_is_all_that_a_build_asks_about(case: Case) -> None:
    """No index is read, and each package is fetched once."""
    case.lock()
    case.use_another_store()
    case.mirror.asked.clear()
    case.build()
    assert not [path for path in case.mirror.asked if "dists" in path]
    assert len(case.mirror.asked) == len(set(case.mirror.asked))


def test_what_is_built_at_once_asks_the_index_for_no_metadata_but_a_wheel_says_which_pythons_it_allows(
    case: Case,
) -> None:
    """uv asks once for the metadata of each."""
    case.index.add("narrow", "1.0", python="<3.11")
    case.spec(packages=["demo", "narrow"])
    err = case.fails(7)
    assert "narrow 1.0 wants Python <3.11; the image has Python 3.11.2" in err
    metadata = [path for path in case.index.asked if path.endswith(".metadata")]
    assert len(metadata) == len(set(metadata)) == 2


def test_a_layer_that_is_known_needs_nothing_fetched(case: Case, tmp_path: Path) -> None:
    """Another file to copy makes another image, and one layer."""
    case.lock()
    case.build()
    for path in (case.home / "inputs").rglob("*"):
        if path.is_file():
            path.unlink()
    (case.spec_path.parent / "code.py").write_text("x = 1\n")
    case.spec(copy=["code.py"])
    case.mirror.asked.clear()
    case.index.asked.clear()
    code, _, err = case.run("build", "--locked", str(case.spec_path))
    assert (code, case.mirror.asked, case.index.asked) == (0, [], [])
    assert "Made 1 layer," in err


@pytest.mark.parametrize("runtime_packages", [[], ["demo"]])
def test_an_image_whose_lowest_layers_are_the_environment_and_a_huge_wheel_is_sound(
    case: Case, runtime_packages: list[str]
) -> None:
    """What the environment and Debian's packages stand in together has one mode and owner in all layers."""
    case.index.add("huge", "1.0", files={"huge.bin": Random(1).randbytes(9 << 20)})
    case.index.add("pip", "25.0")  # which installs the packages of a start
    case.spec(packages=["demo", "huge"], runtime_packages=runtime_packages)
    digest = Digest.parse(case.build().partition("@")[2])
    store = Store(case.home)
    made = [line.created_by for line in load(store, digest).config.history]
    assert made[:2] == ["virtual environment", "python: huge 1.0"]
    assert validate(str(digest), lambda one: store.blob_path(Digest.parse(one)).open("rb")) == ()


def test_a_preview_tells_the_same_and_makes_nothing(case: Case) -> None:
    case.lock()
    code, out, err = case.run("build", "--dry-run", str(case.spec_path))
    assert code == 0
    assert "would fetch" in err
    assert not (case.home / "oci").exists()
    assert case.build().startswith(out.strip())


def test_many_specs_give_one_line_each_and_the_first_failure_s_code(case: Case) -> None:
    missing = case.spec_path.with_name("missing.yaml")
    code, out, err = case.run("build", str(missing), str(case.spec_path))
    assert (code, len(out.splitlines())) == (3, 1)
    assert "missing.yaml" in err


def test_an_image_is_written_where_other_tools_read_it(case: Case, tmp_path: Path) -> None:
    reference = case.run("build", "-o", f"oci:{tmp_path / 'out'}", str(case.spec_path))[1].strip()
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert [item["digest"] for item in index["manifests"]] == [reference.partition("@")[2]]
    case.run("build", "-o", f"docker-archive:{tmp_path / 'out.tar'}", str(case.spec_path))
    assert (tmp_path / "out.tar").stat().st_size > 0


@pytest.mark.parametrize("order", [["a==1", "b==1"], ["b==1", "a==1"]])
def test_two_wheels_with_different_files_at_one_path_are_refused(case: Case, order: list[str]) -> None:
    for name in ("a", "b"):
        case.index.add(name, "1", files={"shared.py": f"who = {name!r}\n".encode()})
    case.spec(packages=order)
    said = case.fails(7)
    assert "a 1 and b 1 have different files at '/opt/venv/lib/python3.11/site-packages/shared.py'" in said
    case.check_failure(said)


@pytest.mark.parametrize("order", [["a==1", "b==1"], ["b==1", "a==1"]])
def test_two_wheels_may_share_a_namespace_and_what_nobody_imports(case: Case, order: list[str]) -> None:
    """The one is taken for granted, the other is told; whichever is there, it is the same one every time."""
    declared = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    for name in ("a", "b"):
        files = {
            "shared/__init__.py": f"# {name}\n{declared}",
            f"shared/{name}.py": "",
            "README.md": name,
            "tests/__init__.py": f"x = {name!r}\n",
        }
        case.index.add(name, "1", files={path: text.encode() for path, text in files.items()})
    case.spec(packages=order)
    code, out, err = case.run("build", str(case.spec_path))
    site = "/opt/venv/lib/python3.11/site-packages"
    assert code == 0, err
    assert (
        f"a 1 and b 1 have different files at '{site}/README.md' and 1 more: one of each is in the image"
        in err
    )
    assert f"{site}/shared" not in err
    case.use_another_store()
    assert case.run("build", str(case.spec_path))[1].partition("@")[2] == out.partition("@")[2]


def test_an_image_says_who_built_it(case: Case) -> None:
    """A tag that another builder made can be told by it."""
    digest = Digest.parse(case.build().partition("@")[2])
    manifest = json.loads(Store(case.home).read_blob(digest))
    config = json.loads(Store(case.home).read_blob(Digest.parse(manifest["config"]["digest"])))
    assert manifest["annotations"]["dev.taskimage.builder"] == "taskimage"
    assert config["config"]["Labels"]["dev.taskimage.builder"] == "taskimage"
