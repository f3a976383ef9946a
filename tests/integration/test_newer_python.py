"""What differs between versions of Python, tested in an image with a newer one than that of most developers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from tests.command import ROOT, Command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="Debian's Python is run"),
]

# Where the standard library decides: archives, dataclasses, the compiler, TLS.
MODULES = (
    "boundedtar", "bytecode_workers", "deb", "image", "registry_session", "registry_uploads", "sdist", "unpack",
    "validate", "value", "wheel",
)  # fmt: skip


def test_the_tests_hold_with_python_3_13(tmp_path: Path) -> None:
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = [*project["dependencies"], "pytest>=8.3", "hypothesis>=6.100"]
    spec = tmp_path / "image.yaml"
    spec.write_text(
        f"name: newer\npython_version: '3.13'\npackages: {packages}\napt_packages: [openssl]\n"
        "copy: [src, tests]\nbuilder_options: {taskimage: {runtime: none, suite: trixie, bytecode: false}}\n"
    )
    modules = " ".join(f"tests/unit/test_{name}.py" for name in MODULES)
    script = (
        "cp -r src tests /tmp && cd /tmp && export PYTHONPATH=/tmp/src:/tmp HOME=/tmp &&"
        f" python -m pytest -q -p no:cacheprovider {modules}"
    )
    command = Command(tmp_path / "home")
    command.succeed("build", str(spec))
    done = command("run", str(spec), "--", "sh", "-c", script)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
