"""`commands` of a spec: run as root in a sandbox, on top of all other layers; what they change becomes a layer.

As in the Dockerfile that flytekit writes: after the files are copied, in ``/``, by one shell, with the image's
environment, and with ``uv`` where a command names it. Unlike there the network is off unless the spec wants it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskimage.adapters.changes import changes
from taskimage.adapters.rootfs import inside, unpack
from taskimage.adapters.sandbox import Ended, Job, Sandbox, Volume, find_sandbox, name_service
from taskimage.adapters.specfiles import host_machine
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Done, Started, counted
from taskimage.model.oci import ExecutionConfig, Platform, canonical_json
from taskimage.model.shown import last_lines
from taskimage.model.spec import ImageSpec
from taskimage.transform.assemble import Layer
from taskimage.transform.plan import LayerPlan
from taskimage.transform.runtime import environment_of_commands
from taskimage.transform.tarheader import MTIME
from taskimage.verbs.make import write
from taskimage.verbs.tools import Tools

__all__ = ["Commands", "commands_plan"]

_VERSION: Final = "1"  # moves whenever the same commands would leave another layer behind
# Before the output of each command stands its number.
_MARK = re.compile(r"\0(\d+)\0")


def commands_plan(spec: ImageSpec, below: Sequence[LayerPlan], base: Digest | None) -> LayerPlan:
    """The layer of a spec's commands, which depends on all layers ``below`` and on the manifest of its ``base``."""
    environment = environment_of_commands(env=spec.env)
    parameters = (
        _VERSION,
        str(base or ""),
        *(str(plan.key) for plan in below),
        canonical_json(environment).decode(),
        f"network {spec.options.network}",
        _uv_version() if _names_uv(spec) else "",
        *(spec.commands or ()),
    )
    return LayerPlan(kind="commands", origin="commands", parameters=parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The commands of one spec, and the sandbox that runs them."""

    tools: Tools
    spec: ImageSpec
    sandbox: Sandbox

    @classmethod
    def ready(cls, tools: Tools, spec: ImageSpec, platform: Platform) -> Commands:
        """The commands of ``spec``, which this host can run. Raises CannotBuild, with what to do, where it cannot."""
        try:
            sandbox = find_sandbox(overlay=True, administers=True)
            _expect_this_machine(platform)
        except CannotBuild as error:
            error.message = f"`commands` cannot be run here: {error.message}"
            error.where = error.where or _place(spec, 0)
            raise
        return cls(tools=tools, spec=spec, sandbox=sandbox)

    def make(
        self, plan: LayerPlan, below: Sequence[tuple[Path, Digest]], base: ExecutionConfig | None
    ) -> Layer:
        """The layer of ``plan``, which the store has from now on.

        Args:
            plan: What `commands_plan` gave.
            below: The blobs of all layers below, the lowest first, and their digests.
            base: How a container of the base image starts.

        Raises:
            CannotBuild: A command fails.
        """
        tell = self.tools.listener
        count = counted(len(self.spec.commands or ()), "command")
        tell(Started("commands", f"Running {count}"))
        store = self.tools.store
        with store.explained(), store.temporary_directory() as folder:
            before, scratch = Path(folder, "before"), Path(folder, "scratch")
            before.mkdir()
            scratch.mkdir()
            owners = unpack(below, before, owned=True)
            job = self._job(before, scratch, environment_of_commands(env=self.spec.env, base=base))
            mounted = [inside(before, volume.target) for volume in job.volumes]
            self._run(job, scratch / "output")
            whole = job.copied.exists()
            changed = changes(
                before, job.copied if whole else job.upper, owners, whole=whole, mounted=mounted
            )
            layer = write(self.tools, plan, [changed])
        tell(Done("commands", f"Ran {count}: {counted(len(changed), 'path')} in their layer"))
        return layer

    def _job(self, root: Path, scratch: Path, env: Mapping[str, str]) -> Job:
        volumes = name_service() if self.spec.options.network else ()
        if _names_uv(self.spec):
            from uv import find_uv_bin

            volumes = (*volumes, Volume(Path(find_uv_bin()), "/usr/bin/uv", read_only=True))
        return Job(
            root=root,
            argv=["/bin/sh", "-c", _script(self.spec.commands or ())],
            env={
                **env,
                "HOME": "/root",
                # What is compiled is then good for any time of its source, and times that tools write are constant.
                "SOURCE_DATE_EPOCH": str(MTIME),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            scratch=scratch,
            uid=0,
            gid=0,
            writable=("",),
            volumes=volumes,
            network=self.spec.options.network,
            administers=True,
        )

    def _run(self, job: Job, output: Path) -> None:
        import dataclasses

        with output.open("wb") as file:
            ended = self.sandbox.run(dataclasses.replace(job, output=file.fileno()))
        if ended.code == 130:
            raise KeyboardInterrupt  # the terminal's Ctrl-C reaches commands by itself
        if ended.reason:
            raise CannotBuild(
                f"`commands` cannot be run: {ended.reason}",
                where=_place(self.spec, 0),
                hint="they need a shell: a base image with /bin/sh, or none",
            )
        self._expect_done(ended, output)

    def _expect_done(self, ended: Ended, output: Path) -> None:
        commands = self.spec.commands or ()
        _, number, said = ("0", "0", *_MARK.split(output.read_text("utf-8", "replace")))[-3:]
        index = min(int(number), len(commands) - 1)
        if ended.code == 0 and index == len(commands) - 1:
            return
        message = f"command {commands[index]!r:.200} "
        if ended.code == 0:
            message += (
                f"ends the shell, and {counted(len(commands) - index - 1, 'command')} after it did not run"
            )
            hint = "leave `exit` out, or put it in parentheses"
        else:
            message += f"ended with exit code {ended.code}"
            hint = _hint(said, network=self.spec.options.network)
        lines = last_lines(said)
        raise CannotBuild(
            "\n  ".join([message + (". Its last lines:" if lines else ""), *lines]),
            where=_place(self.spec, index),
            hint=hint,
        )


def _script(commands: Sequence[str]) -> str:
    """What a shell is given: one command after the other, in the folder that the one before has left it in."""
    steps = [
        f"printf '\\000{number}\\000'\n{{ {command}\n}} || exit $?\n"
        for number, command in enumerate(commands)
    ]
    return "".join(steps)


_OFFLINE = re.compile(
    r"resolv|name or service|network is unreachable|failed to fetch|dns error|connection", re.IGNORECASE
)


def _hint(said: str, *, network: bool) -> str:
    if not network and _OFFLINE.search(said):
        return (
            "commands have no network unless the spec wants it: builder_options: {taskimage: {network: true}}"
        )
    if "Invalid argument" in said or "Operation not permitted" in said:
        return (
            "only root of this host can give files to other users than root: build as root, or leave that out"
        )
    return "try it by itself: take the command out, build, and `taskimage run` a shell in the image"


def _expect_this_machine(platform: Platform) -> None:
    here = Platform.parse(f"linux/{host_machine()}")
    if not here.serves(platform):
        raise CannotBuild(
            f"they are for {platform}, and this host is {here}",
            hint=f"build on a {platform} host and push there: other hosts find the layer in the registry",
        )


def _place(spec: ImageSpec, index: int) -> str | None:
    return spec.origin.place(("commands", index)) if spec.origin else None


def _names_uv(spec: ImageSpec) -> bool:
    return any(re.search(r"(?<![\w./-])uvx?(?![\w./-])", command) for command in spec.commands or ())


def _uv_version() -> str:
    from importlib.metadata import version

    return f"uv {version('uv')}"
