"""What a sandbox is asked to do, what it answers, and how its process is watched."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Protocol

from taskimage.adapters.copytree import copy_tree
from taskimage.adapters.sandbox.mounts import Bind, Overlay, Volume
from taskimage.model.value import dataclass

__all__ = ["ADMINISTRATION", "HOSTNAME", "Ended", "Job", "Sandbox", "captured", "places", "watch"]

ADMINISTRATION: Final[Mapping[str, int]] = MappingProxyType({
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6,
    "CAP_SETUID": 7, "CAP_SYS_CHROOT": 18,
})  # fmt: skip
"""The capabilities of a job that administers, by name, with their numbers (<linux/capability.h>)."""

HOSTNAME: Final = "localhost"
"""What a job that administers finds its host called, whatever host it is."""

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command and the world that it sees.

    ``root`` is an unpacked image, which never changes. ``writable`` names its folders that may be written to
    (relative, ``""`` for all of it); what is written lands below ``scratch``, an empty folder of the caller's.
    ``env`` is the whole environment. Without ``network`` there is a loopback device and nothing else.

    A job that ``administers`` is root's, with the power over files and processes of its world that root has in a
    container, and none beyond it; its host is called ``localhost``. ``output`` is a file descriptor that takes standard output and error in place
    of the caller's; there is no standard input then. The job is ended as soon as ``stopped`` says so.
    """

    root: Path
    argv: Sequence[str]
    env: Mapping[str, str]
    scratch: Path
    workdir: str = "/"
    uid: int = 1000
    gid: int = 0
    writable: Sequence[str] = ()
    volumes: Sequence[Volume] = field(default=())
    network: bool = True
    administers: bool = False
    output: int | None = None
    stopped: Callable[[], bool] | None = None

    @property
    def upper(self) -> Path:
        """What was changed in the root, as overlayfs keeps it, after a job with ``writable=("",)``."""
        return self.scratch / "0" / "upper"

    @property
    def copied(self) -> Path:
        """All of the root with what was changed, after a job with ``writable=("",)`` where no overlay was."""
        return self.scratch / "0" / "copy"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: the command's exit code (128 + n for signal n).

    With a ``reason`` the command never started, and the code is docker's: 125 the sandbox failed,
    126 the command cannot be executed, 127 it is not there.
    """

    code: int
    reason: str = ""

    @classmethod
    def not_started(cls, command: str, errno_: int) -> Ended:
        """The end of a command that the kernel refused with ``errno_``."""
        import errno
        import os

        missing = errno_ in (errno.ENOENT, errno.ENOTDIR)
        return cls(127 if missing else 126, f"cannot start {command!r} in the image: {os.strerror(errno_)}")


class Sandbox(Protocol):
    """One way to run a job."""

    name: ClassVar[str]
    warning: ClassVar[str]  # what a person should know before it is used; often nothing

    @property
    def overlays(self) -> bool:
        """Whether a whole root is made writable without copying it, where kernel and file system allow it."""

    def problem(self) -> str | None:
        """Why it does not work on this host; None when it does."""

    def run(self, job: Job) -> Ended:
        """Run ``job`` to its end; standard streams and terminal are the caller's."""


def captured(sandbox: Sandbox, job: Job, output: Path) -> tuple[Ended, str]:
    """How ``job`` ended, and what it printed, which is kept in the file ``output``. Raises KeyboardInterrupt."""
    with output.open("wb") as file:
        ended = sandbox.run(replace(job, output=file.fileno()))
    if ended.code == 130:
        raise KeyboardInterrupt  # the terminal's Ctrl-C reaches what runs by itself
    return ended, output.read_text("utf-8", "replace")


def places(job: Job, *, overlay: bool) -> tuple[Bind | Overlay, ...]:
    """What to mount so that the writable folders of ``job`` can be written to and the image stays as it is.

    A folder is small as a rule, and is copied. All of the root is overlaid where that is possible.
    """
    return tuple(
        _place(job, path, job.scratch / str(number), overlay=overlay)
        for number, path in enumerate(job.writable)
    )


def _place(job: Job, path: str, folder: Path, *, overlay: bool) -> Bind | Overlay:
    source = job.root / path
    if path == "" and overlay:
        (folder / "upper").mkdir(parents=True)
        (folder / "work").mkdir()
        return Overlay(str(source), str(folder / "upper"), str(folder / "work"), "/")
    copy = folder if path else job.copied
    copy_tree(source, copy)
    return Bind(str(copy), f"/{path}", read_only=False)


def watch(
    process: subprocess.Popen[bytes],
    send: Callable[[int], None],
    *,
    stopped: Callable[[], bool] | None = None,
) -> int:
    """Wait for ``process`` and give its exit code; signals that this process gets go to ``send`` meanwhile.

    What the terminal sends (Ctrl-C) reaches the command by itself, so it is left to the command alone. Once it is
    ``stopped`` the process is killed, and all that is in its sandbox with it.
    """
    with _held_signals() as held:
        while (code := process.poll()) is None:
            if stopped is not None and stopped():
                process.kill()
            if not held:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(None if stopped is None else 0.1)
                continue
            # A timeout, since another thread may be given the SIGCHLD.
            info = signal.sigtimedwait((*held, signal.SIGCHLD), 0.1)
            if info is not None and info.si_signo != signal.SIGCHLD and info.si_code <= 0:
                send(info.si_signo)
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _held_signals() -> Iterator[Sequence[int]]:
    if threading.current_thread() is not threading.main_thread():
        yield ()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_PASSED_ON, signal.SIGCHLD))
    try:
        yield _PASSED_ON
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
