"""`export`: an image of the store, written where other tools read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskimage.adapters.layout import load
from taskimage.adapters.settings import Settings
from taskimage.adapters.sinks import write_docker_archive, write_oci_layout
from taskimage.adapters.store import Store
from taskimage.model.errors import BadInput
from taskimage.model.oci import Descriptor

__all__ = ["Output", "export"]

_WRITERS: Final = {"oci": write_oci_layout, "docker-archive": write_docker_archive}


@dataclass(frozen=True, slots=True)
class Output:
    """Where an image is written to: ``oci`` (a folder) or ``docker-archive`` (a tar file)."""

    kind: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Output:
        """The output that ``text`` writes as ``kind:path``. Raises BadInput."""
        kind, _, path = text.partition(":")
        if kind not in _WRITERS or not path:
            raise BadInput(f"not an output: {text!r:.200}; wanted oci:DIR or docker-archive:FILE")
        return cls(kind, Path(path))

    @property
    def holds_many(self) -> bool:
        """Whether several images can be written to it, one after another."""
        return self.kind == "oci"


def export(manifest: Descriptor, output: Output, *, name: str, settings: Settings) -> None:
    """Write the store's image of ``manifest`` to ``output``, under ``name``. Raises as the writers in `sinks` do."""
    store = Store(settings.home)
    _WRITERS[output.kind](store, load(store, manifest), output.path, name=name)
