"""Runs a command in namespaces of its own, or behind a change of root. A program: standard library only.

    python -I -S launcher.py JOB_FD STATUS_FD

JOB_FD gives a JSON job. STATUS_FD stays empty when the command was started, and otherwise tells why it was not:
``{"errno": 2}`` from starting it, ``{"error": "…"}`` from anything before. Exits as the command did, with 128
and the signal's number for a signal.

Three processes: this one makes the namespaces and waits outside of them; its child is process 1 inside, makes
the mounts and collects orphans; the grandchild becomes the command. In the user namespace the caller stands for
the image's user and for nobody else, and starting the command leaves no capability. A job with ``capabilities`` keeps
those, over what is inside alone; with ``owners`` root stands for every user, whom the command may give files to.
"""
# The kernel is told paths as text; pathlib would only be in the way.
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH120, PTH123, PTH211

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

# <linux/sched.h>
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
# <linux/mount.h>
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
# <linux/prctl.h>
_SET_PDEATHSIG, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 24, 38

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_WATCHED = (*_PASSED_ON, signal.SIGCHLD)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_COVERED = ("sys", "sysrq-trigger", "irq", "bus")

_libc = ctypes.CDLL(None, use_errno=True)


class _FailedError(Exception):
    """Something before the command went wrong; the text says what."""


def main(job_fd: int, status_fd: int) -> int:
    with open(job_fd, encoding="utf-8") as file:
        job = json.load(file)
    os.set_inheritable(status_fd, False)
    os.get_exec_path({})  # imports what it warns with, which is nowhere once the root is another
    try:
        if "chroot" in job:
            _change_root(job)
            return _supervise(lambda: _start(job, status_fd), status_fd)
        _separate(job)
        return _supervise(lambda: _first_process(job, status_fd), status_fd)
    except (OSError, _FailedError) as error:
        _tell(status_fd, {"error": _said(error)})
        return 125


# -- namespaces ------------------------------------------------------------------------------------------


def _separate(job: dict[str, Any]) -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = _NEWUSER | _NEWNS | _NEWPID | _NEWIPC | (0 if job["network"] else _NEWNET)
    flags |= _NEWUTS if job.get("hostname") else 0
    if job.get("owners"):
        _map_everyone(lambda: _call("make namespaces", _libc.unshare(flags)))
    else:
        _call("make namespaces", _libc.unshare(flags))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{job['uid']} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{job['gid']} {gid} 1", encoding="ascii")
    if not job["network"]:
        _loopback_up()
    if job.get("hostname"):
        socket.sethostname(job["hostname"])


def _map_everyone(unshare: Callable[[], None]) -> None:
    """Enter a user namespace in which everyone is who they are outside: a process that stays there must say so."""
    pid, ready = os.getpid(), os.pipe()
    helper = os.fork()
    if helper == 0:
        code = 1
        try:
            os.close(ready[1])
            if os.read(ready[0], 1):
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{pid}/{name}").write_text(_everyone(name), encoding="ascii")
                code = 0
        finally:
            os._exit(code)
    unshare()
    os.write(ready[1], b"!")
    for end in ready:
        os.close(end)
    if os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]) != 0:
        raise _FailedError("cannot let root stand for every user")


def _everyone(name: str) -> str:
    """All ids that this process knows, each for itself; the kernel takes 340 lines at most."""
    with open(f"/proc/self/{name}", encoding="ascii") as file:
        return "".join(f"{first} {first} {count}\n" for first, _, count in map(str.split, file))


def _loopback_up() -> None:
    siocsifflags, up_and_running = 0x8914, 0x1 | 0x40  # <linux/sockios.h>, <linux/if.h>
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH22x", b"lo", up_and_running))


def _first_process(job: dict[str, Any], status_fd: int) -> NoReturn:
    try:
        _mount_all(job)
        if not job["argv"]:
            os._exit(0)
        code = _supervise(lambda: _start(job, status_fd), status_fd)
    except (OSError, _FailedError) as error:
        _tell(status_fd, {"error": _said(error)})
        code = 125
    os._exit(code)


# -- mounts ----------------------------------------------------------------------------------------------


def _mount_all(job: dict[str, Any]) -> None:
    new = job["mountpoint"]
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("tmpfs", new, "tmpfs", _NOSUID | _NODEV, "mode=755")
    for mount in job["mounts"]:
        _MOUNTERS[mount["kind"]](mount, new + mount["target"])
    os.chdir(new)
    # pivot_root(2), NOTES: the old root is stacked on the new one, and then taken off.
    _call("change the root", _libc.syscall(_pivot_root_number(), b".", b"."))
    _call("leave the old root", _libc.umount2(b".", _DETACH))
    os.chdir("/")


def _bind(mount: dict[str, Any], target: str) -> None:
    source = mount["source"]
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, target, None, _BIND | _REC)
    _remount(target, _RDONLY if mount["read_only"] else 0)


def _remount(target: str, flags: int) -> None:
    """Add ``flags`` to all mounts at and below ``target``, which keep those that they have (they are locked)."""
    for place in _mounted_below(os.path.realpath(target)):
        try:
            kept = os.statvfs(place).f_flag & (_RDONLY | _NOSUID | _NODEV | _NOEXEC)
        except OSError:
            continue  # not for the caller to look at, and so not for the command
        _mount("none", place, None, _BIND | _REMOUNT | _NOSUID | _NODEV | kept | flags)


def _mounted_below(target: str) -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split(" ")[4] for line in file]
    plain = {point.encode("latin-1", "surrogateescape").decode("unicode_escape") for point in points}
    return sorted(point for point in plain if f"{point}/".startswith(f"{target}/"))


def _memory(_asked: dict[str, Any], target: str) -> None:
    os.makedirs(target, exist_ok=True)
    _mount("tmpfs", target, "tmpfs", _NOSUID | _NODEV, "mode=755")


def _link(mount: dict[str, Any], target: str) -> None:
    os.symlink(mount["text"], target)


def _overlay(mount: dict[str, Any], target: str) -> None:
    os.makedirs(target, exist_ok=True)
    layers = {"lowerdir": mount["lower"], "upperdir": mount["upper"], "workdir": mount["work"]}
    # Paths with a comma or colon would be cut there (overlayfs.rst takes a backslash before them).
    quoted = [f"{key}={_quoted(path)}" for key, path in layers.items()]
    _mount("overlay", target, "overlay", _NOSUID | _NODEV, ",".join([*quoted, "userxattr"]))


def _quoted(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _seal(_asked: dict[str, Any], target: str) -> None:
    _mount("none", target, None, _BIND | _REMOUNT | _NOSUID | _NODEV | _RDONLY)


def _special(mount: dict[str, Any], target: str) -> None:
    os.makedirs(target, exist_ok=True)
    (_proc if mount["name"] == "proc" else _dev)(target)


def _proc(target: str) -> None:
    try:
        _mount("proc", target, "proc", _NOSUID | _NODEV | _NOEXEC)
    except _FailedError:
        # In a container whose own /proc is partly masked the kernel gives no new one (user_namespaces(7)).
        _mount("/proc", target, None, _BIND | _REC)
    for name in _COVERED:
        path = f"{target}/{name}"
        if os.path.exists(path):
            _mount(path, path, None, _BIND | _REC)
            _remount(path, _RDONLY)


def _dev(target: str) -> None:
    _mount("tmpfs", target, "tmpfs", _NOSUID, "mode=755")
    for name in _DEVICES:
        os.close(os.open(f"{target}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        _mount(f"/dev/{name}", f"{target}/{name}", None, _BIND)
    for name, text in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
                       ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx")):  # fmt: skip
        os.symlink(text, f"{target}/{name}")
    os.mkdir(f"{target}/pts", 0o755)
    _mount("devpts", f"{target}/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.mkdir(f"{target}/shm")
    os.chmod(f"{target}/shm", 0o1777)  # noqa: S103 -- as every /dev/shm


_MOUNTERS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "bind": _bind, "memory": _memory, "link": _link, "overlay": _overlay, "special": _special, "seal": _seal,
}  # fmt: skip


# -- processes -------------------------------------------------------------------------------------------


def _change_root(job: dict[str, Any]) -> None:
    os.chroot(job["chroot"])
    os.chdir("/")
    os.setgroups([])
    os.setresgid(job["gid"], job["gid"], job["gid"])
    os.setresuid(job["uid"], job["uid"], job["uid"])


def _supervise(child: Callable[[], NoReturn], status_fd: int) -> int:
    """Run ``child`` in a new process, pass on the signals that were sent to this one, and give its exit code."""
    _end_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        child()
    os.close(status_fd)
    while True:
        info = signal.sigwaitinfo(_WATCHED)
        # What the terminal sends (SI_KERNEL) goes to every process in front of it, so to the command as well.
        if info.si_signo != signal.SIGCHLD:
            if info.si_code <= 0:
                os.kill(pid, info.si_signo)
            continue
        while (ended := _reaped()) is not None:
            if ended[0] == pid:
                code = os.waitstatus_to_exitcode(ended[1])
                return 128 - code if code < 0 else code


def _end_with_parent() -> None:
    # Not earlier: a change of credentials, which a new user namespace is, takes it back (prctl(2)).
    _call("tie the sandbox to its caller", _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _reaped() -> tuple[int, int] | None:
    pid, status = os.waitpid(-1, os.WNOHANG)
    return (pid, status) if pid else None


def _start(job: dict[str, Any], status_fd: int) -> NoReturn:
    for number in (*_PASSED_ON, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        _end_with_parent()
        kept = job.get("capabilities", ())
        # Uid 0 is given the bounding set when it starts a program (capabilities(7)); other uids, nothing.
        for capability in range(64):
            if capability not in kept and _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) < 0:
                break  # past the last one that this kernel knows
        _call("give up privileges", _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        os.chdir(job["workdir"])
        os.umask(0o022)
    except (OSError, _FailedError) as error:
        _tell(status_fd, {"error": _said(error)})
        os._exit(125)
    try:
        os.execvpe(job["argv"][0], job["argv"], job["env"])  # noqa: S606 -- no shell is wanted
    except OSError as error:
        _tell(status_fd, {"errno": error.errno})
    os._exit(126)


# -- the kernel ------------------------------------------------------------------------------------------


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() if kind else None,
        ctypes.c_ulong(flags), os.fsencode(data) or None,
    )  # fmt: skip
    _call(f"mount {source} at {target}", result)


def _call(doing: str, result: int) -> None:
    if result < 0:
        raise _FailedError(f"cannot {doing}: {os.strerror(ctypes.get_errno())}")


def _pivot_root_number() -> int:
    # No C library wraps pivot_root. 41 is the number of every architecture that came after the first ones.
    return {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}.get(
        os.uname().machine, 41
    )


def _said(error: Exception) -> str:
    return f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)


def _tell(status_fd: int, what: dict[str, Any]) -> None:
    os.write(status_fd, json.dumps(what).encode())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
