"""A spec whose file was read before on this machine: its YAML is not parsed again, nor what parses it imported."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from taskimage.adapters.store import Store
from taskimage.model.errors import TaskImageError
from taskimage.model.events import Warned
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.record import FORMAT, dumps, loads

__all__ = ["KnownSpecs"]


class KnownSpecs:
    """What ``store`` remembers of the specs that were read, by the bytes of their files.

    A spec is remembered where there was nothing to say about how it was read, and when its image is there: a command
    that is refused leaves no trace.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new: dict[Path, ImageSpec] = {}

    def read(self, data: bytes, *, path: str) -> tuple[ImageSpec, tuple[Warned, ...]]:
        """The spec that the YAML text ``data`` holds, and warnings. Raises InvalidSpec as `read_spec` does."""
        kept = self._path(data)
        # A record that another version of ours wrote, or a power cut spoilt, is none.
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError, TaskImageError):
            return loads(kept.read_bytes(), path=path), ()
        from taskimage.model.spec.reading import read_spec

        spec, warnings = read_spec(data, path=path)
        if not warnings:
            self._new[kept] = spec
        return spec, warnings

    def keep(self) -> None:
        """Remember what was read with this and not known."""
        for path, spec in self._new.items():
            if (text := dumps(spec)) is not None:
                # The image is there, whether or not the store's disk is full.
                with contextlib.suppress(TaskImageError):
                    # For its owner's eyes, as the file may be.
                    self._store.write_file(path, text.encode(), private=True, durable=False)

    def _path(self, data: bytes) -> Path:
        key = hashlib.sha256(b"%d\n" % FORMAT + data)
        return self._store.home / "records" / "specs" / f"{key.hexdigest()}.json"
