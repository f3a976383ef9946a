"""bubblewrap (``bwrap``): the sandbox of choice where it is installed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from taskimage.adapters.rootfs import inside
from taskimage.adapters.sandbox.job import ADMINISTRATION, HOSTNAME, Ended, Job, places, watch
from taskimage.adapters.sandbox.mounts import Bind, Link, Memory, Mount, Overlay, Seal, Special, plan

__all__ = ["Bubblewrap"]

_WITH_OVERLAY = (0, 11)
_ISOLATED = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL")


class Bubblewrap:
    """Runs jobs with the ``bwrap`` that is on PATH or in the usual folder."""

    name: ClassVar[str] = "bubblewrap"
    warning: ClassVar[str] = ""

    def __init__(self) -> None:
        self._program = shutil.which("bwrap") or shutil.which("bwrap", path="/usr/bin:/usr/local/bin")

    @property
    def overlays(self) -> bool:
        """Whether this bwrap is 0.11 or newer."""
        return self._program is not None and self._version() >= _WITH_OVERLAY

    def problem(self) -> str | None:
        """What bwrap says to a job as small as there can be."""
        if self._program is None:
            return "bwrap is not installed"
        probe = [
            *_ISOLATED,
            "--uid",
            "1000",
            "--gid",
            "0",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]
        done = subprocess.run(
            [self._program, *probe, "--", shutil.which("true") or "/bin/true"],
            capture_output=True,
            check=False,
        )
        return (
            None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "bwrap failed"
        )

    def run(self, job: Job) -> Ended:
        """Run ``job`` to its end."""
        assert self._program is not None  # noqa: S101 -- `problem` was asked first
        mounts = plan(job.root, places(job, overlay=self.overlays), job.volumes)
        options = [*_ISOLATED, "--uid", str(job.uid), "--gid", str(job.gid)]
        options += [] if job.network else ["--unshare-net"]
        if job.administers:
            options += ["--unshare-uts", "--hostname", HOSTNAME]
            options += [word for name in ADMINISTRATION for word in ("--cap-add", name)]
        for name, value in job.env.items():
            options += ["--setenv", name, value]
        options += [word for mount in mounts for word in _words(mount)]
        return self._start(job, [*options, "--chdir", job.workdir])

    def _start(self, job: Job, options: Sequence[str]) -> Ended:
        # Options go through a pipe: a command line is for everyone on the host to read, an environment is not.
        options_read, options_write = os.pipe()
        status_read, status_write = os.pipe()
        argv = [str(self._program), "--args", str(options_read), "--json-status-fd", str(status_write)]
        try:
            process = subprocess.Popen(
                [*argv, "--", *job.argv],
                env={},
                pass_fds=(options_read, status_write),
                stdin=None if job.output is None else subprocess.DEVNULL,
                stdout=job.output,
                stderr=job.output,
            )
        finally:
            os.close(options_read)
            os.close(status_write)
        with os.fdopen(options_write, "wb") as file:
            file.write(b"".join(os.fsencode(word) + b"\0" for word in options))
        with os.fdopen(status_read, "rb") as file:
            first = _document(file.readline())
            code = watch(
                process, lambda number: _signal_command(first.get("child-pid"), number), stopped=job.stopped
            )
            # bwrap reports an exit code only for a command that was started.
            started = any("exit-code" in _document(line) for line in file)
        return Ended(code) if started or code > 128 else _diagnosis(job)

    def _version(self) -> tuple[int, ...]:
        text = subprocess.run(
            [str(self._program), "--version"], capture_output=True, text=True, check=False
        ).stdout
        return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _words(mount: Mount) -> Iterable[str]:
    match mount:
        case Bind(source, target, read_only):
            return ("--ro-bind" if read_only else "--bind", source, target)
        case Memory(target):
            return ("--tmpfs", target)
        case Link(target, text):
            return ("--symlink", text, target)
        case Overlay(lower, upper, work, target):
            return ("--overlay-src", lower, "--overlay", upper, work, target)
        case Special(name, target):
            return (f"--{name}", target)
        case Seal(target):
            return ("--remount-ro", target)


def _document(line: bytes) -> dict[str, Any]:
    return dict(json.loads(line)) if line.strip() else {}


def _signal_command(init: int | None, number: int) -> None:
    """Send a signal to the command: the child of bwrap's process 1, which itself passes nothing on."""
    if init is None:
        return
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{init}/task/{init}/children").read_text(encoding="ascii").split():
            os.kill(int(child), number)


def _diagnosis(job: Job) -> Ended:
    """Why the command did not start, which bwrap has told in words of its own."""
    command = job.argv[0]
    folders = [""] if "/" in command else job.env.get("PATH", "").split(":")
    found = [job.root / inside(job.root, posixpath.join(job.workdir, folder, command)) for folder in folders]
    found = [path for path in found if path.exists()]
    if not found:
        return Ended.not_started(command, errno.ENOENT)
    if not any(path.is_file() and path.stat().st_mode & 0o111 for path in found):
        return Ended.not_started(command, errno.EACCES)
    return Ended(125, f"bubblewrap could not start {command!r} in the image")
