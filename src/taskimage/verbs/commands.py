"""`commands` of a spec: run as root in a sandbox, on top of all other layers; what they change becomes a layer.

As in the Dockerfile that flytekit writes: after the files are copied, in ``/``, by one shell, with the image's
environment, and with ``uv`` where a command names it. Unlike there the network is off unless the spec wants it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taskimage.adapters.sandbox import Ended, Sandbox, Volume
from taskimage.adapters.uvprogram import uv_program
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Done, Started, counted
from taskimage.model.oci import ExecutionConfig, Platform, canonical_json
from taskimage.model.shown import ending
from taskimage.model.spec import ImageSpec
from taskimage.model.value import dataclass
from taskimage.transform.assemble import Layer
from taskimage.transform.plan import LayerPlan
from taskimage.transform.runtime import environment_of_commands
from taskimage.verbs.administration import administer, sandbox_for
from taskimage.verbs.layers import write
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
            return cls(tools=tools, spec=spec, sandbox=sandbox_for(platform))
        except CannotBuild as error:
            error.message = f"`commands` cannot be run here: {error.message}"
            error.where = error.where or _place(spec, 0)
            raise

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
        tell, spec = self.tools.listener, self.spec
        count = counted(len(spec.commands or ()), "command")
        tell(Started("commands", f"Running {count}"))
        with administer(self.tools, self.sandbox, below) as image:
            ended, said, changed = image.run(
                ["/bin/sh", "-c", _script(spec.commands or ())],
                environment_of_commands(env=spec.env, base=base),
                volumes=_programs(spec),
                network=spec.options.network,
            )
            self._expect_done(ended, said)
            layer = write(self.tools, plan, [changed])
        tell(Done("commands", f"Ran {count}: {counted(len(changed), 'path')} in their layer"))
        return layer

    def _expect_done(self, ended: Ended, output: str) -> None:
        if ended.reason:
            raise CannotBuild(
                f"`commands` cannot be run: {ended.reason}",
                where=_place(self.spec, 0),
                hint="they need a shell: a base image with /bin/sh, or none",
            )
        commands = self.spec.commands or ()
        _, number, said = ("0", "0", *_MARK.split(output))[-3:]
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
        raise CannotBuild(ending(message, said), where=_place(self.spec, index), hint=hint)


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


def _programs(spec: ImageSpec) -> tuple[Volume, ...]:
    """What commands find beside what the image has."""
    if not _names_uv(spec):
        return ()
    return (Volume(Path(uv_program()), "/usr/bin/uv", read_only=True),)


def _place(spec: ImageSpec, index: int) -> str | None:
    return spec.origin.place(("commands", index)) if spec.origin else None


def _names_uv(spec: ImageSpec) -> bool:
    return any(re.search(r"(?<![\w./-])uvx?(?![\w./-])", command) for command in spec.commands or ())


def _uv_version() -> str:
    from importlib.metadata import version

    return f"uv {version('uv')}"
