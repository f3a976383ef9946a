"""The files of a base -> the record that is kept of them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from taskimage.model.base import BaseFacts
from taskimage.model.oci import Platform
from taskimage.transform.base.clibrary import glibc_version, has_musl
from taskimage.transform.base.environment import environment_at
from taskimage.transform.base.interpreters import interpreters
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.base.links import folder_links
from taskimage.transform.base.osrelease import parse_os_release
from taskimage.transform.base.smallfiles import SmallFiles

__all__ = ["facts_of"]

_STATUS = "var/lib/dpkg/status"
# passwd and its like are here because layers above the base add users to them, each with a line in every one; the
# shadow files may hold hashes of passwords, so they are for the store alone and not for what people share.
_TEXTS = (
    "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/apt/sources.list",
    "etc/apt/sources.list.d/*.list", "etc/apt/sources.list.d/*.sources",
)  # fmt: skip
# What apt trusts by itself, and where the keyrings are that sources name (apt-secure(8), Signed-By).
_KEYRINGS = (
    "etc/apt/trusted.gpg", "etc/apt/trusted.gpg.d/*.gpg", "etc/apt/trusted.gpg.d/*.asc", "etc/apt/keyrings/*",
    "usr/share/keyrings/*.gpg", "usr/share/keyrings/*.asc", "usr/share/keyrings/*.pgp",
)  # fmt: skip


def facts_of(
    tree: BaseTree, *, platform: Platform, env: Mapping[str, str], prefix: str = "opt/venv"
) -> BaseFacts:
    """What is to be known of ``tree``, a base for ``platform`` whose configuration sets the variables ``env``.

    An environment of ours goes to the folder ``prefix``. Raises IntegrityError for files of absurd sizes.
    """
    # Names that are not UTF-8 have lone surrogates here, and no place in JSON. None of them matters.
    tree = BaseTree(entry for entry in tree.entries if _is_text(entry.path + entry.target))
    files = SmallFiles(tree)
    environment = environment_at(tree, prefix)
    release = files.text("etc/os-release") or files.text("usr/lib/os-release") or ""
    return BaseFacts(
        os_release=parse_os_release(release),
        glibc=glibc_version(tree, platform),
        musl=has_musl(tree),
        links=folder_links(tree),
        interpreters=interpreters(tree, env, environment),
        environment=environment,
        texts=_texts(tree, files),
        keyrings={path: data for path in _found(tree, _KEYRINGS) if (data := files.read(path)) is not None},
    )


def _texts(tree: BaseTree, files: SmallFiles) -> dict[str, str]:
    texts = {path: text for path in _found(tree, _TEXTS) if (text := files.text(path)) is not None}
    paragraphs = list(_paragraphs(tree, files))
    if paragraphs:
        texts[_STATUS] = "\n\n".join(paragraphs) + "\n"
    return texts


def _paragraphs(tree: BaseTree, files: SmallFiles) -> Iterator[str]:
    """What dpkg has as its status, and what distroless images have in place of it: a file for each package."""
    if status := (files.text(_STATUS) or "").strip("\n"):
        yield status
    for name in tree.names(f"{_STATUS}.d"):
        text = (files.text(posixpath.join(f"{_STATUS}.d", name)) or "").strip("\n")
        # Beside each there is a list of checksums.
        if text.startswith("Package:"):
            known = any(line.startswith("Status:") for line in text.splitlines())
            yield text if known else f"{text}\nStatus: install ok installed"


def _found(tree: BaseTree, patterns: Iterable[str]) -> Iterator[str]:
    return (path.lstrip("/") for pattern in patterns for path in tree.glob(pattern))


def _is_text(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)
