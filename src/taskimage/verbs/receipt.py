"""Receipts: what a build looked at and what it said, so that asking the same again costs a look and no more.

A receipt answers the same words in the same folder and environment, as long as no file that decided has changed, and
every name still means the same image where that was left. Whatever else is the case, the build decides anew. Only
what this needs is imported here: it is what people wait for when nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.adapters.witness import Mark, mark, unchanged
from taskimage.model.value import dataclass

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    from taskimage.adapters.store import Store
    from taskimage.model.digest import Digest
    from taskimage.model.oci import RawManifest
    from taskimage.model.reference import Reference
    from taskimage.verbs.build import Built

__all__ = ["Left", "Receipt", "answer", "question"]

_FORMAT = 2
# They differ from shell to shell, and decide nothing.
_IDLE = frozenset({"_", "COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL"})


@dataclass(frozen=True)
class Left:
    """An image where it was left: its names, and what they mean.

    ``files`` are those of an image in the store. ``addresses`` are those of its names in a registry, where a glance at
    them may do.
    """

    names: tuple[str, ...]
    digest: str
    media_type: str
    published: bool
    files: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @classmethod
    def of(cls, built: Built, settings: Settings) -> Left:
        """Where ``built`` is."""
        left = cls(built.names, str(built.root.digest), built.root.media_type, built.published)
        if built.published:
            from taskimage.adapters.registry import Registries

            found = [Registries(settings).plain_address(one) for one in left._references]
            return replace(left, addresses=tuple(filter(None, found)))
        from taskimage.adapters.store import Store

        store = Store(settings.home)
        return replace(left, files=tuple(str(store.blob_path(one)) for one in _blobs(store, built.root)))

    def is_there(self, settings: Settings) -> bool:
        """Whether every name still means it, and none of its files is gone. Raises as asking a registry does."""
        if len(self.addresses) == len(self.names) and self._is_seen():
            return True
        if self.published:
            from taskimage.adapters.registry import Registries

            registries = Registries(settings)
            found = [registries.repository(one).head(str(one.tag)) for one in self._references]
        else:
            from taskimage.adapters.layout import find
            from taskimage.adapters.store import Store

            found = [find(Store(settings.home), name) for name in self.names]
        means = all(one is not None and str(one.digest) == self.digest for one in found)
        return means and all(map(os.path.exists, self.files))

    def _is_seen(self) -> bool:
        from taskimage.adapters.glance import means

        return all(means(address, self.media_type, self.digest) for address in self.addresses)

    @property
    def _references(self) -> list[Reference]:
        from taskimage.model.reference import Reference

        return [Reference.parse(name) for name in self.names]


@dataclass(frozen=True)
class Receipt:
    """What a command said, and what that depends on: ``images`` that are where they were left, and files, by path.

    These bear their ``marks``, or hold their ``contents``.
    """

    marks: Mapping[str, Mark]
    contents: Mapping[str, str]
    images: tuple[Left, ...]
    lines: tuple[str, ...]
    notices: tuple[str, ...]
    warnings: tuple[tuple[str, str | None], ...]

    def keep(self, store: Store, asked: str) -> None:
        """Keep this as the answer to the question ``asked``."""
        # For its owner's eyes: a digest tells a short text to whoever tries all of them.
        data = json.dumps(asdict(self)).encode()
        store.write_file(_path(store.home, asked), data, private=True, durable=False)

    def holds(self, settings: Settings) -> bool:
        """Whether nothing has changed. Raises as asking a registry does."""
        return unchanged(self.marks, self.contents) and all(image.is_there(settings) for image in self.images)


def question(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """A digest of everything but files that decides what ``words`` ask for; no value of ``environ`` is kept."""
    decisive = {name: value for name, value in environ.items() if name not in _IDLE}
    # This file is another one in another version of ours, and to ask for the version takes longer than all the rest.
    asked = [
        _FORMAT,
        mark(__file__),
        sys.version,
        sys.prefix,
        os.uname().machine,
        str(Path.cwd()),
        list(words),
        decisive,
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def answer(settings: Settings, asked: str) -> Receipt | None:
    """The receipt of the question ``asked``, when it still holds. Raises as asking a registry does."""
    try:
        kept = json.loads(_path(settings.home, asked).read_bytes())
        receipt = Receipt(**{**kept, "images": tuple(Left(**image) for image in kept["images"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return receipt if receipt.holds(settings) else None


def _path(home: Path, asked: str) -> Path:
    return home / "records" / "receipts" / f"{asked}.json"


def _blobs(store: Store, raw: RawManifest) -> Iterator[Digest]:
    """Everything in the store that the image ``raw`` consists of."""
    from taskimage.model.oci import Manifest, RawManifest

    document = raw.read(where=str(store.layout))
    yield raw.digest
    if isinstance(document, Manifest):
        yield document.config.digest
        yield from (layer.digest for layer in document.layers)
        return
    for one in document.manifests:
        yield from _blobs(store, RawManifest(one.media_type, store.read_blob(one.digest)))
