"""What root does in a sandbox, on top of layers, and what that changes: a layer is made of it.

`commands` of a spec are run so, and maintainer scripts that are not followed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from taskimage.adapters.changes import changes, is_kept
from taskimage.adapters.rootfs import Owners, Unpackable, inside, unpack
from taskimage.adapters.sandbox import Ended, Job, Sandbox, Volume, captured, find_sandbox, name_service
from taskimage.adapters.specfiles import host_linux
from taskimage.model.errors import CannotBuild
from taskimage.model.oci import Platform
from taskimage.model.value import dataclass
from taskimage.transform.entry import Entry
from taskimage.transform.tarheader import MTIME
from taskimage.verbs.tools import Tools

__all__ = ["Administration", "administer", "sandbox_for"]

_ENVIRONMENT: Final = {
    "HOME": "/root",
    # What is compiled is then good for any time of its source, and times that tools write are constant.
    "SOURCE_DATE_EPOCH": str(MTIME),
    "PYTHONDONTWRITEBYTECODE": "1",
}


def sandbox_for(platform: Platform) -> Sandbox:
    """The sandbox in which root administers an image for ``platform``. Raises CannotBuild where there is none."""
    system = sys.platform
    here = host_linux()
    if system != "linux" or not here.serves(platform):
        raise CannotBuild(
            f"they are for {platform}, and this host is {here if system == 'linux' else system}",
            hint=f"build on a {platform} host and push there: other hosts find the layer in the registry",
        )
    return find_sandbox(overlay=True, administers=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """An image that is unpacked, in which one program can be run; ``folder`` is for files that it is shown."""

    sandbox: Sandbox
    root: Path
    owners: Owners
    folder: Path
    scratch: Path

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        volumes: Iterable[Volume] = (),
        network: bool = False,
        kept: Callable[[str], bool] = is_kept,
        stopped: Callable[[], bool] | None = None,
    ) -> tuple[Ended, str, tuple[Entry, ...]]:
        """How ``argv`` ended, what it printed, and what it changed at paths that are ``kept``.

        The bytes of what it changed are there as long as the image is. Raises KeyboardInterrupt.
        """
        job = Job(
            root=self.root,
            argv=argv,
            env={**env, **_ENVIRONMENT},
            scratch=self.scratch,
            uid=0,
            gid=0,
            writable=("",),
            volumes=(*(name_service() if network else ()), *volumes),
            network=network,
            administers=True,
            stopped=stopped,
        )
        mounted = [inside(self.root, volume.target) for volume in job.volumes]
        ended, said = captured(self.sandbox, job, self.folder / "output")
        whole = job.copied.exists()
        changed: tuple[Entry, ...] = ()
        if ended.code == 0:
            after = job.copied if whole else job.upper
            changed = changes(self.root, after, self.owners, whole=whole, mounted=mounted, kept=kept)
        return ended, said, changed


@contextlib.contextmanager
def administer(tools: Tools, sandbox: Sandbox, layers: Iterable[Unpackable]) -> Iterator[Administration]:
    """An image to be administered, until the block ends; ``layers`` are its, the lowest first."""
    store = tools.store
    with store.explained(), store.temporary_directory() as name:
        folder = Path(name)
        root, scratch = folder / "before", folder / "scratch"
        root.mkdir()
        scratch.mkdir()
        owners = unpack(layers, root, owned=True)
        yield Administration(sandbox=sandbox, root=root, owners=owners, folder=folder, scratch=scratch)
