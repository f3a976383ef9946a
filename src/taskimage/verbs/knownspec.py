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

    A spec is remembered when there was nothing to say about how it was read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, data: bytes, *, path: str) -> tuple[ImageSpec, tuple[Warned, ...]]:
        """The spec that the YAML text ``data`` holds, and warnings. Raises InvalidSpec as `read_spec` does."""
        kept = self._path(data)
        # A record that another version of ours wrote, or a power cut spoilt, is none.
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError, TaskImageError):
            return loads(kept.read_bytes(), path=path), ()
        from taskimage.model.spec.reading import read_spec

        spec, warnings = read_spec(data, path=path)
        if not warnings and (text := dumps(spec)) is not None:
            with contextlib.suppress(TaskImageError):  # whoever needs the store says what is wrong with it
                # For its owner's eyes, as the file may be.
                self._store.write_file(kept, text.encode(), private=True, durable=False)
        return spec, warnings

    def _path(self, data: bytes) -> Path:
        key = hashlib.sha256(b"%d\n" % FORMAT + data)
        return self._store.home / "records" / "specs" / f"{key.hexdigest()}.json"
