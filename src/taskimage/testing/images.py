"""Images made in code, small and always the same, with the media types of OCI or of Docker."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, TypeAlias

from taskimage.model.digest import Digest
from taskimage.model.oci import CONFIG, INDEX, LAYER_GZIP, MANIFEST, canonical_json
from taskimage.model.value import dataclass

__all__ = ["Files", "MadeImage", "make_image", "make_index"]

Files: TypeAlias = Mapping[str, bytes | str]
"""Paths to what is there: bytes are a file (mode 755), text is the target of a symbolic link, and a path that
ends with a slash is a directory. Whoever needs more gives a layer as the bytes of a tar archive."""

_DOCKER = {
    MANIFEST: "application/vnd.docker.distribution.manifest.v2+json",
    INDEX: "application/vnd.docker.distribution.manifest.list.v2+json",
    CONFIG: "application/vnd.docker.container.image.v1+json",
    LAYER_GZIP: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_MOMENT = 946684800
_CREATED = "2000-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image for one platform with its blobs, or an index with the images that are its parts."""

    media_type: str
    manifest: bytes
    blobs: tuple[bytes, ...] = ()
    platform: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[MadeImage, ...] = ()

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return Digest.of(self.manifest)


def make_image(
    layers: Iterable[Files | bytes] = ({"etc/motd": b"hello"},),
    *,
    platform: str = "linux/amd64",
    config: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    docker: bool = False,
    compressed: bool = True,
) -> MadeImage:
    """An image of ``layers``, the lowest first; the same arguments give the same bytes.

    Args:
        layers: Files, or the bytes of a tar archive.
        platform: Operating system, architecture, and variant if there is one.
        config: How a container of it starts, with the names of config.md: ``{"Env": ["A=b"], "User": "1000"}``.
        annotations: Of the manifest.
        docker: Whether the media types are those of Docker's schema 2.
        compressed: Whether layers are gzipped.
    """
    named = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    tars = [layer if isinstance(layer, bytes) else _tar(layer) for layer in layers]
    document = {
        **named,
        "created": _CREATED,
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
    }
    blobs = [canonical_json(document), *(map(_gzip, tars) if compressed else tars)]
    layer_type = _media_type(LAYER_GZIP, docker=docker)
    kinds = [
        _media_type(CONFIG, docker=docker),
        *[layer_type if compressed else re.sub("[+.]gzip$", "", layer_type)] * len(tars),
    ]
    descriptors = [_descriptor(kind, blob) for kind, blob in zip(kinds, blobs, strict=True)]
    manifest = {
        "schemaVersion": 2,
        "mediaType": _media_type(MANIFEST, docker=docker),
        "config": descriptors[0],
        "layers": descriptors[1:],
    }
    return MadeImage(
        media_type=_media_type(MANIFEST, docker=docker),
        manifest=canonical_json({**manifest, "annotations": dict(annotations)} if annotations else manifest),
        platform=named,
        blobs=tuple(blobs),
    )


def make_index(images: Iterable[MadeImage], *, docker: bool = False) -> MadeImage:
    """An index of ``images``, each of which is for its own platform."""
    parts = tuple(images)
    media_type = _media_type(INDEX, docker=docker)
    descriptors = [
        {**_descriptor(part.media_type, part.manifest), "platform": dict(part.platform)} for part in parts
    ]
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": descriptors}
    return MadeImage(media_type=media_type, manifest=canonical_json(document), parts=parts)


def _media_type(name: str, *, docker: bool) -> str:
    return _DOCKER[name] if docker else name


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)}


def _tar(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(files):
            content = files[path]
            info = tarfile.TarInfo(path.rstrip("/"))
            info.mode, info.mtime = 0o755, _MOMENT
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            elif path.endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)  # type: ignore[arg-type]
    return buffer.getvalue()


def _gzip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    # Written by hand: what gzip.compress has in its header differs between versions of Python.
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()
