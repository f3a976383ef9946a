"""A folder for a machine without network: everything that a build fetches, and the same image from it."""

from __future__ import annotations

from pathlib import Path

from tests.case import Case, check_store


def inputs(home: Path) -> set[str]:
    """The fetched files of a store."""
    return {path.name for path in (home / "inputs").rglob("*") if path.is_file()}


def test_what_is_vendored_builds_the_same_image_with_no_network(case: Case, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1\n")
    case.spec(copy=["code.py"])
    case.lock()
    built = case.build()
    folder = tmp_path / "vendor"
    assert case.run("vendor", str(case.spec_path), "-o", str(folder))[:2] == (0, f"{folder}\n")
    check_store(folder)
    case.close()
    without = {"TASKIMAGE_HOME": str(folder), "TASKIMAGE_DEBIAN_MIRROR": "", "UV_DEFAULT_INDEX": ""}
    code, out, err = case.run("build", "--locked", "--offline", str(case.spec_path), **without)
    assert (code, out.strip()) == (0, built), err


def test_what_the_store_has_is_not_fetched_again(case: Case, tmp_path: Path) -> None:
    case.lock()
    case.build()
    case.close()
    code, _, err = case.run("vendor", str(case.spec_path), "-o", str(tmp_path / "vendor"))
    assert code == 0, err
    assert inputs(tmp_path / "vendor") == inputs(case.home)


def test_a_folder_serves_several_specs_and_has_nothing_twice(case: Case, tmp_path: Path) -> None:
    case.index.add("more", "1.0")
    case.lock()
    other = case.spec_path.with_name("other.yaml")
    other.write_text(case.spec_path.read_text().replace('"demo"\n ]', '"demo", "more"\n ]'))
    assert case.run("lock", str(other))[0] == 0
    folder = tmp_path / "vendor"
    assert case.run("vendor", str(case.spec_path), "-o", str(folder))[0] == 0
    before = inputs(folder)
    code, _, err = case.run("vendor", str(case.spec_path), str(other), "-o", str(folder))
    assert (code, len(inputs(folder) - before)) == (0, 1), err
    assert "Copied 1 file" in err


def test_without_a_lock_nothing_is_vendored(case: Case, tmp_path: Path) -> None:
    said = case.fails(2, "vendor", str(case.spec_path), "-o", str(tmp_path / "vendor"))
    assert "there is no lock" in said
    assert not (tmp_path / "vendor").exists()


def test_a_damaged_file_of_the_store_is_not_vendored(case: Case, tmp_path: Path) -> None:
    case.lock()
    case.build()
    path = next((case.home / "inputs" / "sha256").iterdir())
    good = path.read_bytes()
    path.write_bytes(good + b"x")
    code, out, err = case.run("vendor", str(case.spec_path), "-o", str(tmp_path / "vendor"))
    path.write_bytes(good)
    assert (code, out) == (6, ""), err
    check_store(tmp_path / "vendor")
