"""Sandboxes: run a command in an unpacked image as its user, with no privilege and nothing of the host's.

Three ways, the first that works here is taken: bubblewrap, user namespaces of our own, and, for root where
neither is allowed, a change of root. The caller stands for the image's user in all but the last: files that
the command makes in a volume belong to the caller.
"""

from __future__ import annotations

import sys
from pathlib import Path

from taskimage.adapters.sandbox.bubblewrap import Bubblewrap
from taskimage.adapters.sandbox.chroot import ChangeRoot
from taskimage.adapters.sandbox.job import Ended, Job, Sandbox, captured
from taskimage.adapters.sandbox.mounts import Volume
from taskimage.adapters.sandbox.namespaces import Namespaces
from taskimage.model.errors import CannotBuild

__all__ = ["Ended", "Job", "Sandbox", "Volume", "captured", "find_sandbox", "name_service", "require_linux"]


def require_linux() -> None:
    """Raise CannotBuild on a host that can run no Linux program by itself."""
    if sys.platform != "linux":
        raise CannotBuild(
            f"cannot run a command in an image on {sys.platform}: this needs a Linux host",
            hint="build here, and run the image on Linux (on Windows: in WSL2)",
        )


def name_service() -> tuple[Volume, ...]:
    """The host's files that names are looked up with, for a job that has the host's network."""
    files = [Path(name) for name in ("/etc/resolv.conf", "/etc/hosts")]
    return tuple(Volume(file.resolve(), str(file), read_only=True) for file in files if file.exists())


def find_sandbox(*, overlay: bool = False, administers: bool = False) -> Sandbox:
    """The first sandbox that works on this host, tried out.

    With ``overlay`` those come first that let all of an image be written to without copying it; one that
    ``administers`` runs jobs that do, and the first is the one that lets root give files away. Raises CannotBuild
    with what each one said.
    """
    require_linux()
    problems: list[str] = []
    known: list[Sandbox] = [Bubblewrap(), Namespaces(), ChangeRoot()]
    if administers:
        known = [Namespaces(), Bubblewrap()]
    for sandbox in sorted(known, key=lambda one: overlay and not one.overlays):
        problem = sandbox.problem()
        if problem is None:
            return sandbox
        problems.append(f"{sandbox.name}: {problem}")
    raise CannotBuild(
        "no sandbox works on this host\n  " + "\n  ".join(problems),
        hint="install bubblewrap (package 'bubblewrap' on Debian, Ubuntu, Fedora and Alpine), or allow user "
        "namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0",
    )
