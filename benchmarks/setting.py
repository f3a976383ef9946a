"""What has to be there before anything is measured: our command as users have it, and the peers' base image."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
from pathlib import Path

import platformdirs
import uv
from benchmarks.commands import Command, run

from taskimage.model.oci import CONFIG, LAYER, MANIFEST

__all__ = ["base_layout", "base_rootfs", "cache", "installed_taskimage"]

ROOT = Path(__file__).resolve().parent.parent


def cache() -> Path:
    """Where the benchmarks keep what they need again."""
    folder = Path(platformdirs.user_cache_dir("taskimage-benchmarks", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def installed_taskimage() -> Path:
    """The command of these sources, installed for this Python, not editable and with bytecode compiled."""
    environment = cache() / f"taskimage-py{'.'.join(map(str, sys.version_info[:3]))}"
    python = environment / "bin" / "python"
    command = [uv.find_uv_bin(), "--quiet"]
    run(Command([*command, "venv", "--allow-existing", "--python", sys.executable, str(environment)]))
    run(Command([*command, "pip", "install", "--python", str(python), "--compile-bytecode", "--reinstall-package", "taskimage", str(ROOT)]))  # fmt: skip
    return environment / "bin" / "taskimage"


def base_rootfs() -> Path:
    """A tar file with Debian, apt, Python and uv: the base image that the peers get for nothing. Kept once made."""
    from taskimage.adapters.debian.mirrors import Mirrors

    rootfs = cache() / "bookworm-python3.11.tar"
    if not rootfs.exists():
        mirror = Mirrors.find((), Path("/etc/apt")).of("debian")[0]
        made = rootfs.with_suffix(".new.tar")
        # Of one's own, since another installation may touch the links to the one in the environment.
        program = shutil.copy(uv.find_uv_bin(), cache() / "uv")
        run(Command([
            "mmdebstrap", "--variant=apt", "--include=python3.11,ca-certificates", "--quiet",
            f"--customize-hook=copy-in {program} /usr/local/bin",
            # What this host trusts, which may be a company's proxy.
            "--customize-hook=copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs", "bookworm", str(made), mirror,
        ]))  # fmt: skip
        made.rename(rootfs)
    return rootfs


def base_layout(rootfs: Path) -> Path:
    """The image layout of ``rootfs``, as an image of one layer. Kept once made."""
    layout = rootfs.with_suffix("")
    if not layout.exists():
        made = layout.with_suffix(".new")
        shutil.rmtree(made, ignore_errors=True)
        _write_layout(made, rootfs)
        made.rename(layout)
    return layout


def _write_layout(layout: Path, rootfs: Path) -> None:
    """The least that an image layout has to say (image-spec, image-layout.md)."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with rootfs.open("rb") as source, gzip.open(layout / "layer", "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    diff_id, digest = _sha256(rootfs), _sha256(layout / "layer")
    layer = {"mediaType": LAYER, "digest": f"sha256:{digest}", "size": (layout / "layer").stat().st_size}
    (layout / "layer").rename(blobs / digest)

    def keep(kind: str, document: object) -> dict[str, object]:
        data = json.dumps(document).encode()
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}

    settings = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    root = {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
    about = {"architecture": "amd64", "os": "linux", "config": settings, "rootfs": root}
    # buildah stands on no image whose history has fewer layers than there are.
    config = keep(CONFIG, {**about, "history": [{"created_by": "mmdebstrap"}]})
    manifest = keep(
        MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    )
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', "utf-8")
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}), "utf-8")


def _sha256(path: Path) -> str:
    hashing = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hashing.update(chunk)
    return hashing.hexdigest()
