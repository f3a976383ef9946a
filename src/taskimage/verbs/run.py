"""Run: a command inside an image, as the image's user."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from taskimage.adapters.images.layout import LayoutSource
from taskimage.adapters.layout import find, find_in, load
from taskimage.adapters.rootfs import inside
from taskimage.adapters.roots import unpacked
from taskimage.adapters.sandbox import Ended, Job, Volume, find_sandbox, name_service
from taskimage.adapters.settings import Settings
from taskimage.adapters.store import Store
from taskimage.model.errors import BadInput
from taskimage.model.events import Listener, Notice, Warned, ignore
from taskimage.model.oci import Descriptor, ExecutionConfig, Platform
from taskimage.model.place import LayoutPlace, parse_place
from taskimage.model.reference import Reference
from taskimage.model.user import User
from taskimage.transform.assemble import BuiltImage
from taskimage.verbs.places import for_this_machine
from taskimage.verbs.pull import pull, pulled
from taskimage.verbs.standin import this_machine
from taskimage.verbs.tools import Tools

__all__ = ["Ended", "Volume", "run"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    target: str,
    command: Sequence[str] = (),
    *,
    volumes: Sequence[Volume] = (),
    env: Mapping[str, str] | None = None,
    workdir: str | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Ended:
    """Run ``command`` in the image ``target``, and tell how it ended.

    ``target`` is a spec's YAML file (built first when needed), an image's name or digest (pulled when the store
    does not know it), or ``oci:FOLDER``. As docker does, the image's entrypoint comes before the command and its CMD stands in for
    none. Nothing is fetched or built on a host that can run nothing.

    Raises TaskImageError when it does not come to running a command.
    """
    settings = settings or Settings.load()
    # Found before anything is fetched: on a host that can run nothing the rest is in vain.
    sandbox = find_sandbox()
    store, image = _image(Tools(settings, listener), target)
    execution = image.config.execution
    argv = [*execution.entrypoint, *(command or execution.cmd)]
    if not argv:
        raise BadInput(
            f"{target!r} has no command of its own, and none is given",
            hint=f"add one: run {target} -- python3",
        )
    root = unpacked(store, image, listener=listener)
    user = User.find(
        execution.user, passwd=_text(root.tree, "etc/passwd"), group=_text(root.tree, "etc/group")
    )
    if user.uid == 0:
        # All of the image is root's to write, which is a lot to copy.
        sandbox = find_sandbox(overlay=True)
    if sandbox.warning:
        listener(Warned(sandbox.warning, hint="install bubblewrap"))
    with store.explained(), store.temporary_directory() as scratch:
        ended = sandbox.run(
            Job(
                root=root.tree,
                argv=argv,
                env=_environment(execution, user.home, env or {}),
                scratch=Path(scratch),
                workdir=workdir or execution.working_dir or "/",
                uid=user.uid,
                gid=user.gid,
                writable=root.owners.writable(user.uid, user.gid),
                volumes=(*name_service(), *volumes),
            )
        )
    return _explained(ended, image.config.platform)


def _explained(ended: Ended, platform: Platform) -> Ended:
    """How a command ended; of one that did not start, whether this machine can run any of an image for ``platform``."""
    here = this_machine()
    if not ended.reason or here.serves(platform):
        return ended
    why = f"the image is for {platform}, and this machine is {here}"
    advice = "its programs run where the kernel has an emulator for them (Debian's package qemu-user-static)"
    return replace(ended, reason=f"{ended.reason}: {why}; {advice}")


# -- the image -------------------------------------------------------------------------------------------


def _image(tools: Tools, target: str) -> tuple[Store, BuiltImage]:
    """The image ``target``, and the store that has its layers."""
    store = tools.store
    if target.endswith((".yaml", ".yml")):
        from taskimage.verbs.build import build

        built = build(Path(target), push=False, settings=tools.settings, listener=tools.listener)
        descriptor = built.root.descriptor
    elif isinstance(place := parse_place(target), LayoutPlace):
        store = Store(store.home, layout=place.folder)
        descriptor = find_in(place.folder, name=place.name, digest=place.digest)
    elif isinstance(place, Reference):
        descriptor = _named(tools, target, place)
    else:
        raise BadInput(
            f"cannot run an archive as it is: {target!r:.200}",
            hint=f"unpack it first: taskimage copy {target} oci:FOLDER",
        )
    source = LayoutSource(store.layout)
    return store, load(store, for_this_machine(source, source.manifest(descriptor)).digest)


def _named(tools: Tools, target: str, reference: Reference) -> Descriptor:
    """What the store knows as ``target``, a name or digest; what it does not know is pulled."""
    name, _, digest = target.partition("@")
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    known = find(tools.store, digest or target) or find(tools.store, tagged) or pulled(tools, reference)
    if known is None:
        tools.listener(Notice(f"pulling {reference}, which the store does not have"))
        known = pull(tools, reference)
    return known


# -- what the command sees -------------------------------------------------------------------------------


def _environment(execution: ExecutionConfig, home: str, extra: Mapping[str, str]) -> dict[str, str]:
    terminal = {"TERM": os.environ.get("TERM", "xterm")} if sys.stdin.isatty() else {}
    return {"PATH": _PATH, "HOME": home, **terminal, **execution.environment, **extra}


def _text(tree: Path, name: str) -> str:
    try:
        return (tree / inside(tree, name)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
