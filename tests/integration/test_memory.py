"""How much memory it takes to move an image: the same for a layer of 1 GB as for one of 100 MB."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.dockerregistry import docker_registry

from taskimage.model.digest import Digest
from taskimage.model.oci import CONFIG, LAYER, MANIFEST, Descriptor, Index, Manifest, RawManifest

pytestmark = pytest.mark.integration

MB = 1_000_000
SMALL, LARGE = 100 * MB, 1000 * MB
# What the peaks may differ by, in MB; the layers differ by 900.
SLACK = 25

# The command, and then its peak in KiB. That of `getrusage` does not serve: it is, at least, as high as the peak
# of whoever started the process.
_CHILD = """
import sys
from taskimage.cli import main
code = main(["copy", "--quiet", *sys.argv[1:]])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def make_layout(folder: Path, size: int) -> Descriptor:
    """An image layout with one image, of one layer that is ``size`` bytes large; the layer."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(data: bytes) -> Digest:
        digest = Digest.of(data)
        (blobs / digest.hex).write_bytes(data)
        return digest

    path, hashed = folder / "layer", hashlib.sha256()
    with path.open("wb") as file:
        for number in range(size // MB):
            part = number.to_bytes(8, "big") * (MB // 8)
            file.write(part)
            hashed.update(part)
    layer = Descriptor(media_type=LAYER, digest=Digest("sha256", hashed.hexdigest()), size=size)
    path.rename(blobs / layer.digest.hex)
    config = Descriptor(media_type=CONFIG, digest=keep(b"{}"), size=2)
    raw = RawManifest(MANIFEST, Manifest(config=config, layers=(layer,)).to_json())
    keep(raw.data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(Index(manifests=(raw.descriptor,)).to_json())
    return layer


def peak_of_copy(source: str, target: str, home: Path) -> float:
    """The most memory, in MB, that was resident while the command copied ``source`` to ``target``."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, source, target],
        env={**os.environ, "TASKIMAGE_HOME": str(home)}, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return int(done.stdout.splitlines()[-1]) * 1024 / MB


def peaks_of(folder: Path, size: int) -> dict[str, float]:
    """The peaks of pushing an image of ``size`` bytes, of pulling it, and of copying it to another registry."""
    folder.mkdir()
    image, pulled, home = folder / "image", folder / "pulled", folder / "home"
    layer = make_layout(image, size)
    (folder / "first").mkdir()
    (folder / "second").mkdir()
    with docker_registry(folder / "first") as first, docker_registry(folder / "second") as second:
        here, there = (f"{registry.host}/team/app:v1" for registry in (first, second))
        peaks = {
            "push": peak_of_copy(f"oci:{image}", here, home),
            "pull": peak_of_copy(here, f"oci:{pulled}", home),
            "copy": peak_of_copy(here, there, home),
        }
    assert (pulled / "blobs" / "sha256" / layer.digest.hex).stat().st_size == size
    shutil.rmtree(folder)
    return peaks


def test_memory_does_not_grow_with_the_size_of_a_layer(tmp_path: Path) -> None:
    small, large = (peaks_of(tmp_path / str(size), size) for size in (SMALL, LARGE))
    for job, peak in large.items():
        assert peak - small[job] < SLACK, (
            f"{job}: {small[job]:.0f} MB for {SMALL // MB}, {peak:.0f} for {LARGE // MB}"
        )
