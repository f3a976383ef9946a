"""Locks of specs in modules of Python: found, labelled, kept and told of, with no flytekit about."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from tests.case import Case

from taskimage import ImageSpec
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles.projectlocks import project_of
from taskimage.flyte.finding import modules_in
from taskimage.flyte.locks import check_not_edited
from taskimage.model.errors import BadInput, StaleLock
from taskimage.model.lock import Lock
from taskimage.verbs.fingerprint import fingerprint, lock_file
from taskimage.verbs.lock import read_lock
from taskimage.verbs.prepare import load_spec, order
from taskimage.verbs.tools import Tools

_SPEC = """\
ImageSpec(
    name="demo", python_version="3.11", platform="linux/amd64", packages={packages!r},
    builder_options={{"taskimage": {{"runtime": "none", "bytecode": False}}}}, {more}
)
"""


def spec_text(packages: list[str], more: str = "") -> str:
    """The expression of a small spec."""
    return _SPEC.format(packages=packages, more=more)


class Workflows:
    """A project with a package ``wf``, whose folder is beside nothing else."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.folder = case.folder / "project"
        self.write("pyproject.toml", "")
        self.write("wf/__init__.py", "")
        case.index.add("other", "1.0", files={"other.py": b"y = 1\n"})

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def module(self, name: str, **specs: str) -> None:
        """The module ``wf.NAME`` with these variables."""
        lines = "".join(f"{variable} = {value}" for variable, value in specs.items())
        self.write(f"wf/{name}.py", f"from taskimage import ImageSpec\n\n{lines}")

    def lock(self, *options: str, code: int = 0) -> str:
        """What ``taskimage lock`` says on standard error."""
        got, _, err = self.case.run("lock", *options, str(self.folder / "wf"))
        assert got == code, err
        return err

    @property
    def locks(self) -> dict[str, Lock]:
        """Each lock by its labels."""
        found = {}
        for path in sorted((self.folder / ".taskimage").glob("*")):
            lock = read_lock(path)
            assert lock is not None
            found[" ".join(lock.labels)] = lock
        return found

    @property
    def bytes(self) -> dict[str, bytes]:
        """Each file of a lock."""
        return {path.name: path.read_bytes() for path in (self.folder / ".taskimage").iterdir()}


@pytest.fixture
def wf(case: Case) -> Workflows:
    return Workflows(case)


def wheels(lock: Lock) -> list[str]:
    return [f"{pin.name} {pin.version}" for pin in lock.platforms[0].wheels]


# -- what is found, and where its lock is ------------------------------------------------------------------


def test_each_spec_gets_a_lock_with_its_label(wf: Workflows) -> None:
    """The label is where the spec is made, whoever imports it; specs that want the same have one lock."""
    wf.module("images", train=spec_text(["demo"]), serve=spec_text(["other"]))
    inside = "\n\ndef f():\n    from ...nowhere import train\n"
    wf.write("wf/again.py", f"from .images import train, serve as served{inside}")
    wf.write("wf/yet.py", "from .again import served\n")
    wf.module("later", same=spec_text(["demo"], "env={'A': '1'}"))
    wf.lock()
    assert {label: wheels(lock) for label, lock in wf.locks.items()} == {
        "wf.images:serve": ["other 1.0"],
        "wf.images:train wf.later:same": ["demo 1.0"],
    }


def test_the_same_bytes_from_anywhere(wf: Workflows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again, from another folder, in another checkout with another store."""
    requirements = 'requirements=str(Path(__file__).with_name("r.txt"))'
    text = f"from pathlib import Path\nfrom taskimage import ImageSpec\nimage = {spec_text([], requirements)}"
    wf.write("wf/images.py", text)
    wf.write("wf/r.txt", "demo\n")
    wf.lock()
    first = wf.bytes
    monkeypatch.chdir(wf.folder / "wf")
    wf.lock()
    assert wf.bytes == first
    wf.case.use_another_store()
    wf.folder = wf.folder.rename(wf.folder.with_name("moved"))
    for name in first:
        (wf.folder / ".taskimage" / name).unlink()
    monkeypatch.chdir(wf.folder)
    wf.lock()
    assert wf.bytes == first
    assert next(iter(wf.locks.values())).wants.requirements[0].startswith("wf/r.txt sha256:")


def test_what_a_module_does_stays_in_another_process(wf: Workflows) -> None:
    """It prints, exits, changes folder; the result is the locks' paths alone, and other modules are imported."""
    wf.write("wf/a.py", "import os, sys\nprint('loud')\nos.chdir('/')\nsys.exit(3)\n")
    wf.write("wf/b.py", "def f():\n    return missing\n\n\nf()\n")
    wf.module("c", image=spec_text(["demo"]))
    code, out, err = wf.case.run("lock", str(wf.folder / "wf"))
    assert code == 2
    (lock,) = wf.locks
    assert (lock, out.count("\n"), out.endswith(".lock.toml\n")) == ("wf.c:image", 1, True)
    assert "the module wf.a cannot be imported" in err
    assert f"{wf.folder / 'wf/b.py'}:2: return missing\n  NameError" in err


def test_a_process_that_is_gone_is_an_error(wf: Workflows) -> None:
    wf.write("wf/a.py", "import os\nos._exit(0)\n")
    assert "the process ended that imported wf" in wf.lock(code=2)


@pytest.mark.parametrize("path", [".", "my-flows", "wf/missing.py"])
def test_what_cannot_be_imported_by_name_is_told(
    wf: Workflows, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wf.write("my-flows/a.py", "")
    monkeypatch.chdir(wf.folder)
    code, _, err = wf.case.run("lock", path)
    assert code in (2, 3)
    assert repr(path) in err


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["wf"], ("wf",)), (["wf/__init__.py"], ("wf",)), (["wf/images.py", "wf/deep"], ("wf.images", "wf.deep")),
        (["alone.py", "wf", "wf/"], ("alone", "wf")), (["wf/deep/flow.py"], ("wf.deep.flow",)),
    ],
)  # fmt: skip
def test_modules_are_named_as_pyflyte_names_them(
    wf: Workflows, paths: list[str], names: tuple[str, ...]
) -> None:
    """From the nearest folder above without ``__init__.py``."""
    for name in ("wf/images.py", "wf/deep/__init__.py", "wf/deep/flow.py", "alone.py"):
        wf.write(name, "")
    (modules,) = modules_in([wf.folder / path for path in paths])
    assert (modules.names, modules.origin, modules.project) == (names, wf.folder, wf.folder)


def test_modules_of_several_folders_are_imported_apart(wf: Workflows) -> None:
    """As the packages of two services that have one name; none takes the other's lock for one of its own."""
    for service, packages in (("one", ["demo"]), ("two", ["other"])):
        text = f"from taskimage import ImageSpec\nimage = {spec_text(packages)}"
        wf.write(f"{service}/wf/__init__.py", text)
    for services in (["one"], ["two"], ["one", "two"]):
        paths = [str(wf.folder / service / "wf") for service in services]
        code, _, err = wf.case.run("lock", "--prune", *paths)
        assert code == 0, err
    assert set(wf.locks) == {"one/wf:image", "two/wf:image"}


def test_a_root_that_is_not_there_is_told(wf: Workflows) -> None:
    assert "no such folder to take relative paths from" in wf.lock("-C", "nowhere", code=3)


def test_a_folder_without_specs_is_an_error(wf: Workflows) -> None:
    assert "there is no ImageSpec in wf" in wf.lock(code=3)


def test_yaml_and_python_go_together(wf: Workflows) -> None:
    """What fails of one does not keep the other from its lock."""
    wf.module("images", train=spec_text(["demo"]))
    code, out, _ = wf.case.run(
        "lock", "missing.yaml", str(wf.folder / "wf/images.py"), str(wf.case.spec_path)
    )
    assert (code, len(out.split()), len(wf.locks)) == (3, 2, 1)
    assert wf.case.lock_path.exists()


# -- what happens to it ------------------------------------------------------------------------------------


def test_what_is_pinned_is_kept_when_a_spec_is_edited(wf: Workflows) -> None:
    """Its lock moves to the new fingerprint; -U takes the newest."""
    wf.module("images", train=spec_text(["demo"]))
    wf.lock()
    (before,) = wf.bytes
    wf.case.index.add("demo", "2.0", files={"demo.py": b"x = 2\n"})
    wf.module("images", train=spec_text(["demo", "other"]))
    assert "there is no lock, and " + before in wf.lock("--check", code=1)
    said = wf.lock()
    assert "+ linux/amd64 wheel other" in said
    assert wheels(wf.locks["wf.images:train"]) == ["demo 1.0", "other 1.0"]
    assert before not in wf.bytes
    wf.lock("--check")
    wf.lock("-U")
    assert wheels(wf.locks["wf.images:train"]) == ["demo 2.0", "other 1.0"]


def test_a_requirements_file_makes_the_lock_stale(wf: Workflows) -> None:
    wf.write("wf/r.txt", "demo\n")
    wf.module("images", train=spec_text([], 'requirements="wf/r.txt"'))
    wf.lock()
    wf.write("wf/r.txt", "demo\nother\n")
    assert "requirements: 'wf/r.txt sha256:" in wf.lock("--check", code=1)
    names = set(wf.bytes)
    wf.lock()
    assert set(wf.bytes) == names
    assert wheels(wf.locks["wf.images:train"]) == ["demo 1.0", "other 1.0"]


def test_locks_of_specs_that_are_gone_are_told_and_removed_on_demand(wf: Workflows) -> None:
    """Of the modules that are asked for only, and not when one of these cannot be imported."""
    wf.module("images", train=spec_text(["demo"]), serve=spec_text(["other"]))
    wf.write("tools/__init__.py", f"from taskimage import ImageSpec\nbox = {spec_text(['demo', 'other'])}")
    assert wf.case.run("lock", str(wf.folder / "tools"))[0] == 0
    wf.lock()
    wf.module("images", train=spec_text(["demo"]))
    wf.write("wf/broken.py", "1 / 0\n")
    wf.lock("--prune", code=2)
    assert set(wf.locks) == {"tools:box", "wf.images:serve", "wf.images:train"}
    (wf.folder / "wf/broken.py").unlink()
    assert "is of a spec that is gone" in wf.lock()
    assert "its spec is gone" in wf.lock("--prune")
    assert set(wf.locks) == {"tools:box", "wf.images:train"}


def test_what_specs_share_is_resolved_once(wf: Workflows) -> None:
    wf.module("images", one=spec_text(["demo"]), two=spec_text(["demo"], "apt_packages=['tool'],"))
    assert wf.lock().count("Reading the packages of bookworm\n") == 1
    assert len(wf.locks) == 2


def test_diff_compares_one_lock(wf: Workflows) -> None:
    wf.module("images", train=spec_text(["demo"]))
    wf.lock()
    (name,) = wf.bytes
    old = wf.write("old.toml", wf.bytes[name].decode().replace("1.0", "0.9"))
    assert "wheel demo 0.9 -> 1.0" in wf.lock("--diff", str(old))
    wf.module("images", train=spec_text(["demo"]), serve=spec_text(["other"]))
    assert "--diff compares one lock, and 2 are asked for" in wf.lock("--diff", str(old), code=2)


# -- what is built with it ---------------------------------------------------------------------------------


def test_only_what_decides_a_resolution_is_in_the_fingerprint(tmp_path: Path) -> None:
    def of(spec: ImageSpec) -> str:
        settings = Settings(home=tmp_path)
        loaded = load_spec(spec, root=tmp_path, platform=None, registry=None, settings=settings)
        return fingerprint(loaded).short

    spec = ImageSpec(name="a", packages=["demo"], platform="linux/amd64")
    others = [
        ImageSpec(name="b", packages=["demo"], platform="linux/amd64", env={"A": "1"}, registry="localhost"),
        ImageSpec(name="c", packages=["demo"], source_root=str(tmp_path), copy=["x"], commands=["true"]),
    ]
    assert {of(other) for other in others} == {of(spec)}
    moved = [
        spec.with_packages("other"),
        spec.with_apt_packages("tool"),
        ImageSpec(packages=["demo"], python_version="3.11"),
        ImageSpec(packages=["demo"], platform="linux/arm64"),
        ImageSpec(packages=["demo"], requirements="r.txt"),
        ImageSpec(packages=["demo"], base_image=spec),
        ImageSpec(packages=["demo"], base_image=spec.with_packages("other")),
    ]
    assert len({of(spec), *map(of, moved)}) == len(moved) + 1
    # It names files that are in repositories, so that it may never move.
    assert of(ImageSpec(packages=["demo"], python_version="3.11", platform="linux/amd64")) == "b2a6d7c0fc69"


def test_a_spec_without_a_file_is_built_with_the_lock_of_its_project(
    wf: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is stale, or there is none where one is required, nothing is built."""
    wf.write("wf/r.txt", "demo\n")
    more = 'requirements="wf/r.txt"'
    wf.module("images", train=spec_text([], more))
    wf.lock()
    monkeypatch.chdir(wf.folder)
    spec: ImageSpec = eval(spec_text([], more))  # noqa: S307 -- of this test's own
    settings = Settings(home=wf.case.home)

    def ordered(spec: ImageSpec) -> Lock | None:
        loaded = load_spec(spec, root=None, platform=None, registry=None, settings=settings)
        return order(Tools(settings=settings), loaded, locked=True, tag=None).lock

    assert ordered(spec) == wf.locks["wf.images:train"]
    wf.write("wf/r.txt", "other\n")
    with pytest.raises(StaleLock, match=r"(?s)no longer says what demo wants.*taskimage lock PATH"):
        ordered(spec)
    with pytest.raises(BadInput, match=r"(?s)there is no lock .*\.taskimage.*taskimage lock PATH"):
        ordered(spec.with_packages("other"))


def test_locks_are_no_part_of_what_is_copied(wf: Workflows, monkeypatch: pytest.MonkeyPatch) -> None:
    wf.module("images", train=spec_text(["demo"]))
    wf.lock()
    monkeypatch.chdir(wf.folder)
    spec = ImageSpec(source_root=str(wf.folder), source_copy_mode="all")
    settings = Settings(home=wf.case.home)
    loaded = load_spec(spec, root=None, platform=None, registry=None, settings=settings)
    files = order(Tools(settings=settings), loaded, locked=False, tag=None).files
    assert {file.path for file in files.source.files} >= {"wf/images.py", "pyproject.toml"}
    assert not any(file.path.startswith(".taskimage") for file in files.source.files)


@pytest.mark.parametrize("mark", [".taskimage", "pyproject.toml", ".git"])
def test_a_project_is_the_nearest_folder_with_a_mark(tmp_path: Path, mark: str) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert project_of(deep) == deep.resolve()
    (tmp_path / mark).mkdir()
    (tmp_path / "a" / mark).mkdir()
    assert project_of(deep) == (tmp_path / "a").resolve()


def test_the_file_is_named_after_the_image(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    spec = ImageSpec(name="team/app", platform="linux/amd64")
    loaded = load_spec(spec, root=tmp_path, platform=None, registry=None, settings=settings)
    assert (
        lock_file(loaded) == tmp_path.resolve() / f".taskimage/team-app-{fingerprint(loaded).short}.lock.toml"
    )


def test_a_lock_stays_that_of_its_variable(wf: Workflows, monkeypatch: pytest.MonkeyPatch) -> None:
    """When what the variable has asks for something else the lock is stale; other specs never had one."""
    wf.module("images", train=spec_text(["demo"]))
    wf.lock()
    spec: ImageSpec = eval(spec_text(["demo"]))  # noqa: S307 -- of this test's own
    module = ModuleType("wf.images")
    module.__file__ = str(wf.folder / "wf/images.py")
    monkeypatch.setitem(sys.modules, "wf.images", module)

    def check(spec: ImageSpec) -> None:
        settings = Settings(home=wf.case.home)
        check_not_edited(load_spec(spec, root=wf.folder, platform=None, registry=None, settings=settings))

    for now in (spec, spec.with_packages("other")):
        monkeypatch.setattr(module, "train", now, raising=False)
        check(spec)
        check(replace(spec, name="another"))
        check(spec.with_apt_packages("tool"))
    with pytest.raises(StaleLock, match=r"(?s)'other' is wanted.*train was edited: .*lock wf/images.py`"):
        check(spec.with_packages("other"))


@pytest.mark.parametrize("command", ["build", "check", "vendor"])
def test_commands_that_take_yaml_say_what_takes_python(wf: Workflows, command: str) -> None:
    for path in (wf.folder / "wf", wf.folder / "wf/__init__.py"):
        out = ["-o", "there"] if command == "vendor" else []
        code, _, err = wf.case.run(command, str(path), *out)
        assert (code, "is not the YAML file of a spec" in err, "pyflyte build" in err) == (2, True, True)
