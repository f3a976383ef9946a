"""User namespaces of our own: what bubblewrap does, by a launcher that needs nothing but Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from taskimage.adapters.sandbox.job import ADMINISTRATION, HOSTNAME, Ended, Job, places, watch
from taskimage.adapters.sandbox.mounts import Mount, Overlay, Special, plan

__all__ = ["Namespaces", "launch"]

_LAUNCHER = Path(__file__).with_name("launcher.py")


class Namespaces:
    """Runs jobs in namespaces that `launcher` makes."""

    name: ClassVar[str] = "user namespaces"
    warning: ClassVar[str] = ""

    @property
    def overlays(self) -> bool:
        """They are; a job finds out whether its own file system takes part."""
        return True

    def problem(self) -> str | None:
        """What the kernel says to namespaces with a ``/proc`` and a ``/dev`` of their own."""
        with tempfile.TemporaryDirectory() as folder:
            mounts: list[Mount] = [Special("proc", "/proc"), Special("dev", "/dev")]
            return self._launch(_described(mounts, folder, argv=[], env={}, workdir="/")).reason or None

    def run(self, job: Job) -> Ended:
        """Run ``job`` to its end."""
        mountpoint = job.scratch / "root"
        mountpoint.mkdir()
        overlay = "" in job.writable and self._can_overlay(job)
        mounts = plan(job.root, places(job, overlay=overlay), job.volumes)
        return self._launch(
            _described(
                mounts, str(mountpoint), argv=list(job.argv), env=dict(job.env), workdir=job.workdir,
                uid=job.uid, gid=job.gid, network=job.network,
                capabilities=[*ADMINISTRATION.values()] if job.administers else [],
                hostname=HOSTNAME if job.administers else "",
                # Root of the host may stand for every owner; anyone else for one (user_namespaces(7)).
                owners=job.administers and os.geteuid() == 0,
            ),
            output=job.output,
            stopped=job.stopped,
        )  # fmt: skip

    def _can_overlay(self, job: Job) -> bool:
        """Whether kernel (5.11 and newer) and file system let an overlay be mounted with no privilege."""
        with tempfile.TemporaryDirectory(dir=job.scratch, ignore_cleanup_errors=True) as folder:
            for name in ("upper", "work", "root"):
                Path(folder, name).mkdir()
            mount = Overlay(str(job.root), f"{folder}/upper", f"{folder}/work", "/")
            return not self._launch(
                _described([mount], f"{folder}/root", argv=[], env={}, workdir="/")
            ).reason

    @staticmethod
    def _launch(
        job: Mapping[str, Any], *, output: int | None = None, stopped: Callable[[], bool] | None = None
    ) -> Ended:
        return launch(job, output=output, stopped=stopped)


def _described(
    mounts: Any, mountpoint: str, *, uid: int = 1000, gid: int = 0, network: bool = True, **rest: Any
) -> dict[str, Any]:
    listed = [{"kind": type(mount).__name__.lower(), **asdict(mount)} for mount in mounts]
    return {"mountpoint": mountpoint, "mounts": listed, "uid": uid, "gid": gid, "network": network, **rest}


def launch(
    job: Mapping[str, Any], *, output: int | None = None, stopped: Callable[[], bool] | None = None
) -> Ended:
    """Run ``job``, in the launcher's own terms, to its end; ``output`` and ``stopped`` are those of a `Job`."""
    job_read, job_write = os.pipe()
    status_read, status_write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(job_read), str(status_write)],
            pass_fds=(job_read, status_write),
            stdin=None if output is None else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    finally:
        os.close(job_read)
        os.close(status_write)
    with os.fdopen(job_write, "wb") as file:
        file.write(json.dumps(job).encode())
    code = watch(process, process.send_signal, stopped=stopped)
    with os.fdopen(status_read, "rb") as file:
        status = json.loads(file.read() or b"{}")
    if "errno" in status:
        return Ended.not_started(job["argv"][0], status["errno"])
    return Ended(125, status["error"]) if "error" in status else Ended(code)
