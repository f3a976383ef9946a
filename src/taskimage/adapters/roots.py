"""Images unpacked in the store, once for each manifest digest, and read-only from then on.

roots/HEX/tree/         the root file system
roots/HEX/owners.json   who may write where
"""

from __future__ import annotations

import json
from pathlib import Path

from taskimage.adapters.rootfs import Owned, Owners, unpack
from taskimage.adapters.store import Store
from taskimage.model.events import Done, Listener, Started, counted, ignore
from taskimage.model.oci import canonical_json
from taskimage.model.value import dataclass
from taskimage.transform.assemble import BuiltImage

__all__ = ["Unpacked", "unpacked"]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A root file system on the disk, and who owns its folders."""

    tree: Path
    owners: Owners


def unpacked(store: Store, image: BuiltImage, *, listener: Listener = ignore) -> Unpacked:
    """The root file system of ``image``, whose layers the store has; unpacked when it is not there yet.

    Raises IntegrityError (a layer is damaged or hostile), NotFound (a layer is gone), CannotBuild (no space).
    """
    home = store.home / "roots" / image.digest.hex
    if not home.exists():
        with store.locked(f"root-{image.digest.short}"):
            if not home.exists():
                _unpack(store, image, home, listener)
    document = json.loads((home / "owners.json").read_bytes())
    return Unpacked(home / "tree", Owners({path: Owned(*owned) for path, owned in document.items()}))


def _unpack(store: Store, image: BuiltImage, home: Path, listener: Listener) -> None:
    listener(Started("unpack", "Unpacking the image", sum(layer.size for layer in image.manifest.layers)))
    layers = [(store.blob_path(layer.digest), layer.digest) for layer in image.manifest.layers]
    with store.explained(), store.temporary_directory() as temporary:
        tree = Path(temporary) / "new" / "tree"
        tree.mkdir(parents=True)
        owners = unpack(layers, tree)
        document = {path: [owned.mode, owned.uid, owned.gid] for path, owned in owners.folders.items()}
        (tree.parent / "owners.json").write_bytes(canonical_json(document))
        # Nobody else on the host has any business in here: an image may hold what its author keeps private.
        home.parent.mkdir(mode=0o700, exist_ok=True)
        tree.parent.rename(home)
    listener(Done("unpack", f"Unpacked {counted(len(layers), 'layer')}"))
