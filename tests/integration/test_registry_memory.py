"""How much memory a push and a pull take: as much for 1 GB as for 100 MB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.dockerregistry import docker_registry

pytestmark = pytest.mark.integration

# Four layers at one time, of which the first is half of all. Prints its peak in KiB.
_CHILD = """
import hashlib, pathlib, resource, sys
from tests.repositories import session
from taskimage.adapters.crew import Crew
from taskimage.adapters.registry.repository import Repository
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.oci import LAYER, Descriptor

url, folder, total = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
there = Repository(session(url), "team/app", push=True)
wanted = {}
for number, part in enumerate((2, 4, 8, 8)):
    path = folder / f"layer{number}"
    with path.open("w+b") as file:
        file.write(b"%d" % number)
        file.truncate(total // part)
        file.seek(0)
        hashed = hashlib.sha256()
        while piece := file.read(1 << 18):
            hashed.update(piece)
    descriptor = Descriptor(
        media_type=LAYER, digest=Digest("sha256", hashed.hexdigest()), size=total // part
    )
    wanted[path] = descriptor
Crew.run(lambda path: there.upload(wanted[path], lambda: path.open("rb")), wanted)
store = Store(folder / "home")

def fetch(descriptor):
    with store.pending_blob() as pending:
        there.download(descriptor, pending)

Crew.run(fetch, wanted.values())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    peaks = []
    with docker_registry(tmp_path) as registry:
        for total in (100_000_000, 1_000_000_000):
            folder = tmp_path / str(total)
            folder.mkdir()
            done = subprocess.run(
                [sys.executable, "-c", _CHILD, registry.url, str(folder), str(total)],
                cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True,
            )  # fmt: skip
            peaks.append(int(done.stdout))
    small, large = peaks
    assert large - small < 8 << 10, peaks
    assert large < 100 << 10, peaks
