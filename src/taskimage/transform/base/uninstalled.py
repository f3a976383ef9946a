"""What takes installed distributions away from above: by RECORD (PyPA, "Recording installed projects")."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Collection, Iterable, Iterator

from taskimage.model.errors import IntegrityError
from taskimage.transform.base.distributions import installed_in
from taskimage.transform.base.environment import site_packages
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.base.smallfiles import SmallFiles
from taskimage.transform.effects.upgrades import kept_folders
from taskimage.transform.entry import Entry, folders_of
from taskimage.transform.whiteout import whiteouts

__all__ = ["uninstalled"]


def uninstalled(
    tree: BaseTree, names: Collection[str], *, prefix: str, minor: str, above: Iterable[Entry]
) -> tuple[Entry, ...]:
    """Whiteouts for all that the distributions ``names`` have in the environment at ``prefix`` of ``tree``.

    That is what their RECORDs name, its bytecode, their metadata, and folders that nothing is left in. What a
    distribution that stays has too is left, and so is what lies outside of the environment. Of a distribution
    without a RECORD nothing but its metadata is known. Folders that the whiteouts are in come as they are.

    Args:
        tree: The files of a base.
        names: Normalised.
        prefix: The environment, without a leading slash.
        minor: The feature version of its interpreter, such as ``3.11``.
        above: What the layer of the whiteouts has itself, which needs none.

    Raises:
        IntegrityError: A RECORD cannot be read.
    """
    folder = tree.real_path(site_packages(prefix, minor)) or ""
    gone: set[str] = set()
    kept: set[str] = set()
    metadata: set[str] = set()
    for path, distribution in installed_in(SmallFiles(tree), folder):
        recorded = _recorded(tree, path, below=f"{tree.real_path(prefix)}/")
        if distribution.name in names:
            gone.update(recorded)
            metadata.add(path)
        else:
            kept.update(recorded)
    places = ((tree.real_path if entry.kind == "dir" else tree.place)(entry.path) for entry in above)
    own = {place for place in places if place is not None}
    gone -= kept | own
    gone |= {bytecode for path in gone for bytecode in _bytecode(tree, path)} | metadata
    hidden = tuple(whiteouts(gone | _emptied(tree, gone, own)))
    return (*hidden, *kept_folders(hidden, tree))


def _recorded(tree: BaseTree, path: str, *, below: str) -> Iterator[str]:
    """The files that are there of those that the RECORD in the folder ``path`` names, where they really are."""
    record = posixpath.join(path, "RECORD")
    folder = posixpath.dirname(path)
    try:
        for row in csv.reader(io.StringIO(SmallFiles(tree).text(record) or "", newline="")):
            place = tree.place(posixpath.join(folder, row[0])) if row else None
            if place and place.startswith(below) and (entry := tree.get(place)) and entry.kind != "dir":
                yield place
    except csv.Error as error:
        raise IntegrityError(
            f"its file {record!r:.200} cannot be read: {error}", where="base image"
        ) from error


def _emptied(tree: BaseTree, gone: Collection[str], stay: Collection[str]) -> set[str]:
    """The folders that hold nothing but what is ``gone``, and folders of that kind."""
    empty: set[str] = set()
    # The deepest first.
    for folder in sorted(folders_of(gone) - set(stay), reverse=True):
        inside = (posixpath.join(folder, name) for name in tree.names(folder))
        if all(path in gone or path in empty for path in inside):
            empty.add(folder)
    return empty


def _bytecode(tree: BaseTree, path: str) -> Iterator[str]:
    """What was compiled of the source at ``path`` (PEP 3147), which not every installer records."""
    folder, name = posixpath.split(path)
    stem, extension = posixpath.splitext(name)
    if extension == ".py":
        cache = posixpath.join(folder, "__pycache__")
        for compiled in tree.names(cache):
            if compiled.startswith(f"{stem}.cpython-") and compiled.endswith(".pyc"):
                yield posixpath.join(cache, compiled)
