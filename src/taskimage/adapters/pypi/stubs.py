"""Stubs: wheels that hold metadata and nothing else, by which uv resolves what no index has as a wheel."""

from __future__ import annotations

from collections.abc import Iterable

from taskimage.adapters.pypi.target import Target
from taskimage.transform.zipmembers import write_members

__all__ = ["stub"]


def stub(name: str, version: object, target: Target, metadata: Iterable[str]) -> tuple[str, bytes]:
    """File name and bytes of a wheel of ``name`` with these lines of ``metadata`` beside its name and version.

    Its tag is the best of ``target``, so that its metadata counts and not that of an index's wheel of the same version.
    """
    interpreter = "cp" + "".join(target.python.split(".")[:2])
    machine, _, libc = target.uv_platform.partition("-")
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, ""]
    files = {"METADATA": "\n".join(lines), "RECORD": f"{stem}.dist-info/RECORD,,\n"}
    members = [(f"{stem}.dist-info/{file}", text.encode()) for file, text in files.items()]
    return f"{stem}-{interpreter}-{interpreter}-{libc}_{machine}.whl", write_members(members, level=1)
