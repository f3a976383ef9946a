"""Which C library a base has: it decides which wheels run there (PEP 600, PEP 656)."""

from __future__ import annotations

import posixpath
import re

from taskimage.model.oci import Platform
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.base.smallfiles import SmallFiles

__all__ = ["glibc_version", "has_musl"]

# Where programs look for their loader, as each architecture's ABI has it; the library lies beside it.
_LOADERS = {
    "amd64": "lib64/ld-linux-x86-64.so.2", "arm64": "lib/ld-linux-aarch64.so.1", "arm": "lib/ld-linux-armhf.so.3",
    "386": "lib/ld-linux.so.2", "ppc64le": "lib64/ld64.so.2", "s390x": "lib/ld64.so.1",
    "riscv64": "lib/ld-linux-riscv64-lp64d.so.1",
}  # fmt: skip
# The banner that the library prints when it is run as a program.
_BANNER = re.compile(rb"GNU C Library [^\n\0]{0,200}? version (\d{1,3})\.(\d{1,3})")


def glibc_version(tree: BaseTree, platform: Platform) -> tuple[int, int] | None:
    """The version of the GNU C library for ``platform``; None where there is none."""
    loader = _LOADERS.get(platform.architecture)
    if loader is None or tree.file(loader) is None:
        return None
    folder = posixpath.dirname(tree.real_path(loader) or loader)
    library = SmallFiles(tree).read(posixpath.join(folder, "libc.so.6")) or b""
    match = _BANNER.search(library)
    return (int(match[1]), int(match[2])) if match else None


def has_musl(tree: BaseTree) -> bool:
    """Whether there is the loader of musl."""
    return bool(tree.glob("/lib/ld-musl-*.so.1"))
