"""`build_below`: the base image of a spec that has a spec for it, from its lock, into the store."""

from __future__ import annotations

from taskimage.adapters.specfiles import LoadedSpec
from taskimage.model.lock import Lock
from taskimage.model.reference import Reference
from taskimage.verbs.build import build_ordered
from taskimage.verbs.prepare import ordered
from taskimage.verbs.tools import Tools

__all__ = ["build_below"]


def build_below(tools: Tools, loaded: LoadedSpec, lock: Lock) -> str:
    """The image of ``loaded`` with the inputs of ``lock``: ``NAME@DIGEST``. All of it is in the store, and nowhere else."""
    wanted = ordered(tools, loaded, lock, is_base=True)
    built = build_ordered(tools, wanted, push=False)
    return f"{Reference.parse(wanted.fqn)}@{built.root.digest}"
