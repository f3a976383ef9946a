"""Builds the wheel of an sdist. Runs alone, in a sandbox, in the image's own Python, of any version from 3.8 on.

Everything is in the folder of this file: ``job.json``, the sdist, and the wheels of what builds it; ``uv`` is on PATH.
What becomes of it is put into ``out``: the wheel, or ``requires.json`` when the backend wants more than it was given.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).absolute().parent
PYTHON, SOURCE, OUT = HERE / "env/bin/python", HERE / "source", HERE / "out"


def prepare(sdist: Path) -> None:
    """An environment with the wheels, and the sdist unpacked."""
    uv = ("uv", "--quiet", "--offline", "--no-config", "--no-cache")
    subprocess.run([*uv, "venv", "--python", sys.executable, HERE / "env"], check=True)
    wheels = sorted((HERE / "wheels").iterdir())
    if wheels:
        install = ("pip", "install", "--python", PYTHON, "--no-index", "--no-deps")
        subprocess.run([*uv, *install, *wheels], check=True)
    if sdist.suffix == ".zip":
        shutil.unpack_archive(str(sdist), str(SOURCE))
        return
    with tarfile.open(sdist) as archive:
        # Older versions have no filters. Nothing but the sandbox is in reach in any case.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(SOURCE)  # noqa: S202


def build(backend: str, path: list[str], given: list[str] | None) -> None:
    """The wheel, by the hooks of PEP 517; or what they want that is not ``given``, where that is known."""
    (root,) = SOURCE.iterdir()
    os.chdir(root)
    sys.path[:1] = [str(root / folder) for folder in path]  # in place of the folder of this file
    module, _, attributes = backend.partition(":")
    hooks = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        hooks = getattr(hooks, attribute)
    if hasattr(hooks, "get_requires_for_build_wheel"):
        # Asked in any case: it may leave something behind that the next hook finds.
        wanted = [
            need for need in hooks.get_requires_for_build_wheel() if given is not None and need not in given
        ]
        if wanted:
            (OUT / "requires.json").write_text(json.dumps(wanted), encoding="utf-8")
            return
    hooks.build_wheel(str(OUT))


if __name__ == "__main__":
    job = json.loads((HERE / "job.json").read_text(encoding="utf-8"))
    if sys.argv[1:] == ["hooks"]:
        build(job["backend"], job["path"], job["given"])
    else:
        try:
            prepare(HERE / job["sdist"])
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)
        os.execv(PYTHON, [str(PYTHON), __file__, "hooks"])  # noqa: S606 -- no shell is wanted
