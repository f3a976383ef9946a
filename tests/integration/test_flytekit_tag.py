"""The same YAML and the same files have the same id, tag and name here and in flytekit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uv
import yaml

from taskimage.adapters.specfiles import collect, load

pytestmark = pytest.mark.integration

_IN_REPOSITORY = " in a repository"

# Each is one promise: a YAML text whose values or files flytekit reads in its own way.
WRITTEN = {
    "nothing set": "name: demo",
    "python_version without quotes": "python_version: 3.11",
    "python_version that YAML shortens": "python_version: 3.10",
    "python_version in quotes": 'python_version: "3.10"',
    "env that is not text": "env: {A: 1, B: 1.10, C: yes, D: 0x1F, E: 1_000, F: 12:30, G: 1e3, H: .5}",
    "env with signs": 'env: {A: "its \\"quoted\\"", B: "ä\\n\\u2028", C: "back\\\\slash"}',
    "lists that are empty": "packages: []\nentrypoint: []\ncopy: []\nenv: {}",
    "keys that are null": "packages: null\nenv: ~\nregistry:",
    "an empty registry": 'registry: ""',
    "name and registry in capitals": "name: Team/Demo\nregistry: GHCR.io/Me",
    "a registry on localhost": "registry: localhost:30000",
    "keys in another order": "packages: [b, a]\nname: demo\nenv: {Z: '1', A: '2'}",
    "tag_format": 'tag_format: "v1-{spec_hash}"',
    "tag_format with a width": 'tag_format: "{spec_hash:.7}-dev"',
    "a tag_format that is constant": "tag_format: latest",
    "platform": "platform: linux/arm64",
    "anchors and merged keys": "env: {<<: &base {A: '1', B: '2'}, B: '3'}\nbuilder_options: {taskimage: &t {bytecode: no}}",
    "block text": "packages:\n  - numpy\n  - >-\n    pandas\n    >=2\n",
    "builder and runtime_packages": "builder: default\nruntime_packages: [pip]",
    "builder_options": "builder_options: {taskimage: {runtime: none, bytecode: true, waive_scripts: [a, b]}}",
    "fields that are not served": (
        "conda_packages: [x]\nconda_channels: [y]\ncuda: 12.1\ncudnn: 8\nbase_image: debian:12\n"
        "pip_extra_args: --pre\nregistry_config: r.json\ncommands: [ls]\npython_exec: /usr/bin/python3"
    ),
    "a base_image with fields": "base_image: {name: b, python_version: 3.10, packages: [x]}",
    "indexes": "pip_index: https://example.org/simple\npip_extra_index_url: [https://example.org/a]",
    "requirements": "requirements: requirements.txt",
    "requirements in a folder": "requirements: src/requirements.in",
    "one file copied": "copy: [src/a.py]",
    "a folder copied": "copy: [src]",
    "folders and files copied": "copy: [deep/, src/a.py, ./deep/one]",
    "everything copied": "copy: [.]",
    "source_root alone": "source_root: src",
    "source_root with every file": "source_root: src\nsource_copy_mode: all",
    "source_root that is the folder itself": "source_root: .\nsource_copy_mode: all",
    "source_root with a slash and a dot": "source_root: ./src/\nsource_copy_mode: ALL",
    "source_root that is absolute": "source_root: '{here}/src'\nsource_copy_mode: all",
    "an absolute repository": "source_root: '{here}'\nsource_copy_mode: all",
    "source_root alone, absolute": "source_root: '{here}'",
    "source_root with a link that leads nowhere": "source_root: '{here}-links'\nsource_copy_mode: all",
    "everything at once": (
        "name: all\npython_version: 3.12\nrequirements: requirements.txt\ncopy: [src, deep]\n"
        "source_root: src\nsource_copy_mode: all\nregistry: localhost:5000\nenv: {A: b}"
    ),
}

# Specs whose files the default builder copies as they are meant: the others trip over its own paths.
LAID_OUT = (
    "one file copied",
    "a folder copied",
    "folders and files copied",
    "source_root that is absolute",
    "an absolute repository",
    "source_root with a link that leads nowhere",
)

FILES = {
    "requirements.txt": "\n  numpy==1.26.4\n# why\n\n",
    ".gitignore": "*.log\nignored/\n",
    ".dockerignore": "# a note\nsecret*\ndeep/one\n!deep/one/keep.txt\n**/*.tmp\nSRC/UPPER.TXT\n",
    "secret.txt": "s",
    "a.log": "l",
    "x.tmp": "t",
    "src/a.py": "print(1)\n",
    "src/requirements.in": "pandas",
    "src/run.sh": "#!/bin/sh\n",
    "src/b.log": "l",
    "src/upper.txt": "u",
    "src/.dockerignore": "*.sh\n[!a]*.txt\n",
    "src/ignored/x": "x",
    "src/sub/__init__.py": "",
    "src/sub/ä.txt": "umlaut",
    "src/sub/secret": "s",
    "src/__pycache__/a.cpython-311.pyc": "bytecode",
    "src/.cache/x": "c",
    "deep/one/two/three": "3",
    "deep/one/keep.txt": "k",
    "deep/z/1": "1",
    "deep/y/2": "2",
    "deep/empty": "",
}


def _folder(folder: Path, *, repository: bool) -> None:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "src/run.sh").chmod(0o755)
    (folder / "src/link.py").symlink_to("a.py")
    (folder / "src/linked").symlink_to("sub")
    beside = folder.with_name(f"{folder.name}-links")
    beside.mkdir()
    (beside / "there.py").write_text("x")
    (beside / "broken").symlink_to("nowhere")
    if repository:
        subprocess.run(["git", "init", "-q", str(folder)], check=True)


def _random_spec(chance: random.Random) -> dict[str, Any]:
    """A spec with some of the fields that can be built, each with some value that is allowed."""
    texts = ("numpy", "pandas==2.2.3", "requests>=2,<3", "ä 'b' \"c\"", "x" * 90)
    fields: dict[str, list[Any]] = {
        "name": ["a", "Team/b", "c_d.e-f"],
        "python_version": ["3.12", 3.9, 3.11, "3.11.4"],
        "source_root": ["src", ".", "deep"],
        "env": [{"A": "b"}, {"N": 1, "F": 1.5, "T": True}, {"Z": "", "A": "\n"}],
        "registry": ["localhost:5000", "GHCR.io/x", "host:1/y/z"],
        "packages": [chance.sample(texts, k) for k in (0, 1, 3, 5)],
        "requirements": ["requirements.txt", "src/requirements.in"],
        "apt_packages": [["git"], ["curl", "jq"]],
        "platform": ["linux/amd64", "linux/arm64"],
        "pip_index": ["https://example.org/simple"],
        "pip_extra_index_url": [["https://example.org/a", "https://example.org/b"]],
        "entrypoint": [[], ["sh", "-c", "ls"]],
        "tag_format": ["{spec_hash}-x", "y.{spec_hash:.9}"],
        "copy": [["src"], ["deep", "secret.txt"], ["deep/one", "src/sub"]],
        "builder_options": [{"taskimage": {"runtime": "none"}}],
    }
    chosen = {name: chance.choice(values) for name, values in fields.items() if chance.random() < 0.4}
    if "source_root" in chosen and chance.random() < 0.7:
        chosen["source_copy_mode"] = "all"
    return chosen


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Each promise's folder and file; half of the folders are repositories."""
    chance = random.Random(11)  # the same specs in every run
    found: dict[str, tuple[Path, str]] = {}
    for repository in (False, True):
        folder = tmp_path_factory.mktemp("specs")
        _folder(folder, repository=repository)
        texts = {name: text.replace("{here}", str(folder)) for name, text in WRITTEN.items()}
        for number in range(100):
            spec = _random_spec(chance)
            texts[f"drawn {number}"] = (
                yaml.safe_dump(spec, allow_unicode=chance.random() < 0.5) if spec else "name: x"
            )
        for number, (name, text) in enumerate(texts.items()):
            file = f"spec{number}.yaml"
            (folder / file).write_text(text, encoding="utf-8")
            found[name + (_IN_REPOSITORY if repository else "")] = (folder, file)
    return found


@pytest.fixture(scope="module", params=["1.15.4", "1.16.31"])
def flytekit(request: pytest.FixtureRequest, cases: dict[str, tuple[Path, str]]) -> dict[str, dict[str, Any]]:
    """What one flytekit calls each case."""
    oracle = Path(__file__).with_name("flytekit_tag_oracle.py")
    command = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--no-config", "--no-python-downloads"]
    command += [
        "--python",
        sys.executable,
        "--with",
        f"flytekit=={request.param}",
        "--",
        "python",
        str(oracle),
    ]
    done = subprocess.run(
        command,
        input=json.dumps([(str(folder), file, _is_laid_out(name)) for name, (folder, file) in cases.items()]),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(cases, json.loads(done.stdout), strict=True))


def _is_laid_out(name: str) -> bool:
    return name.removesuffix(_IN_REPOSITORY) in LAID_OUT


def test_every_name_is_flytekits(
    cases: dict[str, tuple[Path, str]], flytekit: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """id, tag and image name are equal, whatever the working directory is here."""
    monkeypatch.chdir("/")
    different = {}
    for name, (folder, file) in cases.items():
        spec = load(folder / file).spec
        ours = {"id": spec.id, "tag": spec.tag, "image_name": spec.image_name()}
        theirs = {key: value for key, value in flytekit[name].items() if key != "copied"}
        if ours != theirs:
            different[name] = (ours, theirs)
    assert different == {}


def test_what_is_copied_is_what_the_default_builder_copies(
    cases: dict[str, tuple[Path, str]], flytekit: dict[str, dict[str, Any]]
) -> None:
    """The same files are at the same paths with the same exec bits, apart from ``__pycache__``."""
    for name, (folder, file) in cases.items():
        if not _is_laid_out(name):
            continue
        ours = [
            [part.path, part.executable] for part in collect(load(folder / file, root=folder)).source.files
        ]
        theirs = [part for part in flytekit[name]["copied"] if "__pycache__" not in part[0]]
        assert ours == theirs, name
        assert ours, name
