"""The virtual environment of a base that stands where one of ours goes: its mark says what it stands on (PEP 405)."""

from __future__ import annotations

import posixpath

from taskimage.model.base import Environment
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.base.smallfiles import SmallFiles

__all__ = ["environment_at", "site_packages"]


def environment_at(tree: BaseTree, prefix: str) -> Environment | None:
    """The virtual environment in the folder ``prefix``; None where there is none."""
    text = SmallFiles(tree).text(posixpath.join(prefix, "pyvenv.cfg"))
    if text is None:
        return None
    lines = (line.partition("=") for line in text.splitlines())
    values = {key.strip().lower(): value.strip() for key, _, value in lines}
    # CPython's own venv states the program, which others do not; uv and virtualenv call the version otherwise.
    version = values.get("version_info") or values.get("version", "")
    minor = ".".join(version.split(".")[:2])
    program = values.get("executable") or posixpath.join(values.get("home", ""), f"python{minor}")
    return Environment(
        path=f"/{tree.real_path(prefix) or prefix}", executable=f"/{tree.real_path(program) or ''}"
    )


def site_packages(prefix: str, minor: str) -> str:
    """The folder of packages of the environment in the folder ``prefix``, for CPython ``minor``."""
    return posixpath.join(prefix, f"lib/python{minor}/site-packages")
