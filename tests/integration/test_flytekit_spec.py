"""A spec made in Python, or generated as YAML, is named as flytekit names it, whatever was done to it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import uv
import yaml
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

import taskimage
from taskimage.model.errors import BadInput, InvalidSpec
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.copymode import CopyFileDetection
from taskimage.model.spec.reading import read_spec
from taskimage.transform.dockerignore import DockerIgnore

pytestmark = pytest.mark.integration

Described = dict[str, Any]

VERSIONS = ("1.15.4", "1.16.31")


def _flytekit(version: str, *command: str) -> list[str]:
    run = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--no-config", "--no-python-downloads"]
    return [*run, "--python", sys.executable, "--with", f"flytekit=={version}", "--", "python", *command]


class Oracle:
    """One flytekit, which is asked for names as long as it runs."""

    def __init__(self, version: str) -> None:
        self._process = subprocess.Popen(
            _flytekit(version, str(Path(__file__).with_name("flytekit_spec_oracle.py"))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def ask(self, described: Described) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(described), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def oracles() -> Iterator[list[Oracle]]:
    """A flytekit of each version."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Oracle(version))) for version in VERSIONS]


# -- what is described ----------------------------------------------------------------------------------------

HERE = "{here}"
PATHS = (
    "a.py",
    "data.txt",
    "src/b.py",
    "src/sub/c.py",
    "src/sub/ä.txt",
    "src/x.pyc",
    "src/run.sh",
    "deep/one/two",
)

_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)
_texts = st.lists(_text, max_size=3)
_packages = st.lists(_text.filter(lambda text: not set(text) & set("= ,")), max_size=3)
_name = st.from_regex(r"[a-z0-9]{1,8}(?:[._-][a-zA-Z]{1,4})?", fullmatch=True)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": _name,
    "python_version": st.sampled_from(["3.11", "3.12.1"]),
    "env": st.dictionaries(st.from_regex(r"[A-Z]{1,4}", fullmatch=True), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8), max_size=3),
    "registry": st.sampled_from(["localhost:5000", "GHCR.io/Me", "host:1/y/z", ""]),
    "packages": _packages,
    "conda_packages": _texts,
    "conda_channels": _texts,
    "apt_packages": _packages,
    "cuda": st.sampled_from(["12.1", "11"]),
    "cudnn": st.just("8"),
    "platform": st.sampled_from(["linux/amd64", "linux/arm64", "linux/amd64,linux/arm64"]),
    "pip_index": st.just("https://example.org/simple"),
    "pip_extra_index_url": st.just(["https://example.org/a"]),
    "pip_extra_args": st.just("--pre"),
    "entrypoint": _texts,
    "commands": _texts,
    "tag_format": st.sampled_from(["{spec_hash}-dev", "v1.{spec_hash:.7}", "latest"]),
    "python_exec": st.just("/usr/bin/python3"),
    "runtime_packages": _texts,
    "builder_options": st.dictionaries(_name, st.recursive(st.none() | st.booleans() | st.integers() | _text, st.lists, max_leaves=3), max_size=2),
}  # fmt: skip
_CALLS = st.one_of(
    st.tuples(
        st.sampled_from(["with_packages", "with_apt_packages", "with_commands", "with_runtime_packages"]),
        st.tuples(_text | _texts),
    ),
    st.tuples(st.just("with_builder_options"), st.tuples(_FIELDS["builder_options"])),
    st.tuples(st.just("force_push"), st.just(())),
)


@st.composite
def _files(draw: st.DrawFn) -> dict[str, str]:
    chosen = draw(st.sets(st.sampled_from(PATHS)))
    ignored = {
        ".dockerignore": draw(st.sampled_from(["", "*.txt", "**/*.py\n!a.py", "src/sub", "sub\n*.SH"]))
    }
    texts = {path: draw(st.text(max_size=20)) for path in sorted(chosen)}
    # One of each is always there, so that every file that a spec may name exists.
    return {
        "requirements.txt": draw(st.sampled_from(["", " numpy\n", "a\n# b\n\n"])),
        "src/here.py": "",
        **ignored,
        **texts,
    }


@st.composite
def _fields(draw: st.DrawFn) -> Described:
    names = draw(st.sets(st.sampled_from(sorted(_FIELDS)), max_size=6))
    fields = {name: draw(_FIELDS[name]) for name in _FIELDS if name in names}
    if draw(st.booleans()):
        fields["requirements"] = "requirements.txt"
    if draw(st.booleans()):
        fields["copy"] = draw(
            st.lists(st.sampled_from([".", "src", "src/", "./src/here.py", "requirements.txt"]), max_size=3)
        )
    if draw(st.booleans()):
        fields["source_root"] = draw(
            st.sampled_from([".", "src", "./src/", HERE, f"{HERE}/src", f"{HERE}/src/"])
        )
    return fields


@st.composite
def _specs(draw: st.DrawFn, depth: int = 2) -> Described:
    """A spec as Python makes one: with modes of flytekit's, and bases that are specs."""
    fields = draw(_fields())
    if "source_root" in fields and draw(st.booleans()):
        fields["source_copy_mode"] = draw(st.sampled_from([mode.name for mode in CopyFileDetection]))
    base = draw(st.sampled_from(["none", "text", "spec"]))
    if base == "text":
        fields["base_image"] = "debian:12"
    elif base == "spec" and depth:
        fields["base_image"] = draw(_specs(depth - 1))
    calls = draw(st.lists(_CALLS, max_size=2))
    return {"fields": fields, "calls": calls}


@st.composite
def _texts_of_yaml(draw: st.DrawFn) -> str:
    """A spec as people write one: versions without quotes, words for modes, a mapping for a base."""
    fields = draw(_fields())
    if draw(st.booleans()):
        fields["python_version"] = draw(st.sampled_from([3.9, 3.11, 3.12]))
    if draw(st.booleans()):
        fields["env"] = draw(st.dictionaries(st.sampled_from("ABC"), st.integers() | st.booleans() | _text))
    if "source_root" in fields and draw(st.booleans()):
        fields["source_copy_mode"] = draw(st.sampled_from(["all", "ALL", "auto", "none"]))
    if draw(st.booleans()):
        fields["base_image"] = draw(
            st.fixed_dictionaries({"name": _name, "packages": _packages, "cuda": st.just(12.1)})
        )
    return yaml.safe_dump(fields, sort_keys=draw(st.booleans()), allow_unicode=draw(st.booleans()))


def _modules() -> st.SearchStrategy[dict[str, str]]:
    """Modules that are loaded, by name, with the files that they say they are from."""
    files = ["src/here.py", "requirements.txt", ".dockerignore"]
    return st.dictionaries(
        st.sampled_from(["generated_a", "generated_b", "generated_c"]),
        st.sampled_from([*(f"{HERE}/{name}" for name in files), "src/here.py", f"{HERE}/src/../src/here.py"]),
    )


# -- our side of it -------------------------------------------------------------------------------------------


def _made(described: Described) -> ImageSpec:
    if "yaml" in described:
        spec = read_spec(described["yaml"].encode(), path=f"{described['folder']}/image.yaml")[0]
    else:
        fields = dict(described["fields"])
        if "source_copy_mode" in fields:
            fields["source_copy_mode"] = CopyFileDetection[fields["source_copy_mode"]]
        if isinstance(fields.get("base_image"), dict):
            fields["base_image"] = _made(fields["base_image"])
        spec = ImageSpec(**fields)
    for method, arguments in described.get("calls", ()):
        before = dataclasses.replace(spec)
        after = getattr(spec, method)(*arguments)
        assert spec == before, "a spec changed"
        spec = after
    return spec


def _named(described: Described) -> dict[str, str]:
    before = Path.cwd()
    modules = {name: ModuleType(name) for name in described.get("modules", ())}
    for name, module in modules.items():
        module.__file__ = described["modules"][name]
    os.chdir(described["folder"])
    try:
        with patch.dict(sys.modules, modules):
            spec = _made(described)
            return {"id": spec.id, "tag": spec.tag, "image_name": spec.image_name()}
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _in_folder(described: Described, files: dict[str, str]) -> Iterator[Described]:
    """``described``, starting in a folder that has ``files``."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        text = json.dumps({"folder": HERE, **described})
        yield json.loads(text.replace(HERE, str(Path(folder).resolve())))


def _check(oracles: list[Oracle], described: Described, files: dict[str, str]) -> None:
    with _in_folder(described, files) as placed:
        try:
            ours = _named(placed)
        except InvalidSpec:
            reject()  # mistakes that flytekit does not see
        assert [oracle.ask(placed) for oracle in oracles] == [ours] * len(oracles)


_SETTINGS = settings(
    max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


_TWICE = {"generated_a": f"{HERE}/src/here.py", "generated_b": f"{HERE}/src/here.py"}


@_SETTINGS
@example(spec={"fields": {"source_root": HERE}}, files={"src/here.py": "x"}, modules=_TWICE)
@example(spec={"fields": {"source_root": f"{HERE}/"}}, files={"src/here.py": "x"}, modules=_TWICE)
@example(spec={"fields": {"source_root": "src"}}, files={"src/here.py": "x"}, modules=_TWICE)
@given(spec=_specs(), files=_files(), modules=_modules())
def test_what_python_describes_is_named_as_flytekit_names_it(
    oracles: list[Oracle], spec: Described, files: dict[str, str], modules: dict[str, str]
) -> None:
    """Fields, files, bases that are specs, modules that are loaded, and the methods that give another spec."""
    _check(oracles, {**spec, "modules": modules}, files)


@_SETTINGS
@given(text=_texts_of_yaml(), calls=st.lists(_CALLS, max_size=2), files=_files())
def test_what_yaml_describes_is_named_as_flytekit_names_it(
    oracles: list[Oracle], text: str, calls: list[Any], files: dict[str, str]
) -> None:
    """Where YAML has a number, a text for a mode, or a mapping for a base, flytekit's tag has it too."""
    _check(oracles, {"yaml": text, "calls": calls}, files)


_PARTS = (
    "a",
    "B",
    ".",
    "..",
    "/",
    "//",
    "*",
    "**",
    "?",
    "!",
    "#",
    " ",
    "\\",
    "\r",
    "^",
    "[ab]",
    "[!a]",
    "[^a]",
    "[]a]",
    "[[a]",
    "[b-a]",
    "[a--]",
    "[+--]",
    "[",
    "]",
    "-",
)
_LINES = st.lists(st.lists(st.sampled_from(_PARTS), max_size=6).map("".join), min_size=1, max_size=3)
_PATHS = st.lists(
    st.lists(st.text("aAb.-^\\]!", min_size=1, max_size=2), min_size=1, max_size=3).map("/".join), min_size=3
)


@settings(_SETTINGS, max_examples=400)
@given(lines=_LINES, paths=_PATHS)
def test_rules_leave_out_what_they_leave_out_for_flytekit(
    oracles: list[Oracle], lines: list[str], paths: list[str]
) -> None:
    """Rules of a .dockerignore, of all characters that mean something in them; what is no pattern is an error in both."""
    text = "\n".join(lines)
    with _in_folder({"paths": paths}, {".dockerignore": text}) as placed:
        try:
            rules = DockerIgnore.parse(text, where="here")
            ours: Any = [path for path in paths if rules.ignores(path)]
        except BadInput:
            ours = None
        assert [oracle.ask(placed).get("ignored") for oracle in oracles] == [ours] * len(oracles)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_environment_has_is_pinned_as_flytekit_pins_it(version: str) -> None:
    """``from_env``, and whether a task runs in its image, are asked of both in one environment."""
    done = subprocess.run(
        _flytekit(version, str(Path(__file__).with_name("flytekit_environment_oracle.py"))),
        env={**os.environ, "PYTHONPATH": str(Path(taskimage.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(done.stdout)
    assert ours == theirs
