"""Run: a command inside an image, as the image's user."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskimage.adapters.layout import find, load, read_index
from taskimage.adapters.rootfs import inside
from taskimage.adapters.roots import unpacked
from taskimage.adapters.sandbox import Ended, Job, Volume, find_sandbox
from taskimage.adapters.settings import Settings
from taskimage.adapters.store import Store
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.events import Listener, Warned, ignore
from taskimage.model.oci import Descriptor, ExecutionConfig
from taskimage.model.user import User
from taskimage.transform.assemble import BuiltImage

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

    ``target`` is a spec's YAML file (built first when needed), a name or digest that the store knows, or
    ``oci:FOLDER``. As docker does, the image's entrypoint comes before the command and its CMD stands in for
    none. Nothing is fetched or built on a host that can run nothing.

    Raises TaskImageError when it does not come to running a command.
    """
    settings = settings or Settings.load()
    # Found before anything is fetched: on a host that can run nothing the rest is in vain.
    sandbox = find_sandbox()
    store, image = _image(target, settings, listener)
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
        return sandbox.run(
            Job(
                root=root.tree,
                argv=argv,
                env=_environment(execution, user.home, env or {}),
                scratch=Path(scratch),
                workdir=workdir or execution.working_dir or "/",
                uid=user.uid,
                gid=user.gid,
                writable=root.owners.writable(user.uid, user.gid),
                volumes=(*_resolver(), *volumes),
            )
        )


# -- the image -------------------------------------------------------------------------------------------


def _image(target: str, settings: Settings, listener: Listener) -> tuple[Store, BuiltImage]:
    kind, _, rest = target.partition(":")
    if kind == "oci":
        store = Store(settings.home, layout=Path(rest))
        return store, load(store, _only_image(Path(rest), target))
    store = Store(settings.home)
    if target.endswith((".yaml", ".yml")):
        from taskimage.verbs.build import build

        return store, load(
            store, build(Path(target), push=False, settings=settings, listener=listener).manifest
        )
    name, _, digest = target.partition("@")
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    descriptor = find(store, digest or target) or find(store, tagged)
    if descriptor is None:
        raise NotFound(
            f"the store has no image {target!r:.200}",
            where=str(store.layout),
            hint="build it first (taskimage build image.yaml), or give the YAML file itself",
        )
    return store, load(store, descriptor)


def _only_image(layout: Path, target: str) -> Descriptor:
    images = {one.digest: one for one in read_index(layout).manifests}
    if len(images) != 1:
        names = ", ".join(sorted(one.name or str(one.digest) for one in images.values()))
        raise NotFound(f"{target!r:.200} holds {len(images)} images; wanted one", hint=names or None)
    return next(iter(images.values()))


# -- what the command sees -------------------------------------------------------------------------------


def _environment(execution: ExecutionConfig, home: str, extra: Mapping[str, str]) -> dict[str, str]:
    terminal = {"TERM": os.environ.get("TERM", "xterm")} if sys.stdin.isatty() else {}
    return {"PATH": _PATH, "HOME": home, **terminal, **execution.environment, **extra}


def _resolver() -> tuple[Volume, ...]:
    """The host's files that names are looked up with, since the network is the host's."""
    files = [Path(name) for name in ("/etc/resolv.conf", "/etc/hosts")]
    return tuple(Volume(file.resolve(), str(file), read_only=True) for file in files if file.exists())


def _text(tree: Path, name: str) -> str:
    try:
        return (tree / inside(tree, name)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
