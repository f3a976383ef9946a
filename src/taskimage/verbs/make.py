"""Layers, made from their inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from taskimage.adapters.crew import Crew
from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.errors import IntegrityError
from taskimage.model.events import Warned
from taskimage.model.lock import CondaPin, WheelPin
from taskimage.model.spec.builderoptions import waiving
from taskimage.transform.assemble import Layer
from taskimage.transform.entry import Entry
from taskimage.transform.overlap import merged
from taskimage.transform.plan import LayerPlan
from taskimage.transform.runtime import CONDA, PREFIX
from taskimage.transform.venv import given_away, venv_entries
from taskimage.transform.whiteout import opaque
from taskimage.verbs.base import Base
from taskimage.verbs.compile import Bytecode
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.layers import placed, write
from taskimage.verbs.overlap import note_names
from taskimage.verbs.recipe import Recipe
from taskimage.verbs.tools import Tools

__all__ = ["Maker"]


class Maker(contextlib.ExitStack):
    """A context manager: makes layers by one recipe, in any number of threads.

    What inputs are read for one layer serve for others, and so do the processes that compile, until the block ends.

    Args:
        tools: The adapters of this run.
        recipe: What the layers depend on beside their plans.
        asked: What was asked of package indexes, which says where packages are.
        anew: Compile again what is kept compiled.
    """

    def __init__(self, tools: Tools, recipe: Recipe, asked: Asked, *, anew: bool = False) -> None:
        super().__init__()
        self._tools = tools
        self._recipe = recipe
        lock = self._lock = recipe.lock
        self._base = Base(tools, lock.image, lock.platform) if lock.image else None
        self._inputs = self.enter_context(
            Inputs(tools, asked=asked, python=lock.python.minor, prefix=PREFIX, base=self._base)
        )
        compiler = self.enter_context(
            Bytecode(tools, self._inputs, lock, others=recipe.others, base=self._base, anew=anew)
        )
        self._compiler = compiler if recipe.bytecode else None

    def expect(self, plans: Iterable[LayerPlan]) -> None:
        """Tell what has to be fetched for ``plans``, which are going to be made."""
        self._inputs.expect(pin for plan in plans for pin in plan.pins)

    def make(self, plan: LayerPlan, asked: Asked | None = None) -> Layer:
        """The layer of ``plan``, which the store has from now on.

        ``asked`` says where its packages are, when it is not the usual. Ends early when the crew of this thread stops.
        """
        python = self._lock.python if plan.kind == "interpreter" else None
        # Few of these are in memory at a time; Debian's packages serve for several layers.
        once: tuple[WheelPin | CondaPin, ...] = (*plan.wheels, *plan.conda)
        try:
            with _advised():
                fetch = partial(
                    self._inputs.fetch, plan.debs, plan.wheels, python, conda=plan.conda, asked=asked
                )
                begin = [partial(self._compiler.begin, plan.wheels)] if self._compiler and plan.wheels else []
                Crew.run(lambda job: job(), [fetch, *begin])
                note_names(self._tools, self._inputs, once)
                return write(self._tools, plan, self._fragments(plan))
        finally:
            self._inputs.forget(once)

    def make_all(self, plans: Iterable[LayerPlan]) -> dict[LayerPlan, Layer]:
        """A layer for each of ``plans``, several at a time."""
        made: dict[LayerPlan, Layer] = {}

        def make(plan: LayerPlan) -> None:
            made[plan] = self.make(plan)

        Crew.run(make, sorted(plans, key=lambda plan: -plan.size))
        return made

    def _fragments(self, plan: LayerPlan) -> Iterable[Sequence[Entry]]:
        # What is of Debian's packages follows all links of the base already.
        if plan.kind in ("debs", "effects"):
            return self._entries(plan)
        return placed(self._entries(plan), self._lock.image)

    def _entries(self, plan: LayerPlan) -> Iterable[Sequence[Entry]]:
        makers: dict[str, Callable[[LayerPlan], Iterable[Sequence[Entry]]]] = {
            "debs": self._debs,
            "interpreter": self._interpreter,
            "bytecode": self._bytecode,
            "effects": self._effects,
            "conda": self._conda,
            "environment": self._environment,
            "wheels": self._wheels,
        }
        fragments = makers[plan.kind](plan)
        if self._recipe.writable and plan.kind in ("environment", "wheels"):
            user = self._recipe.user
            return (
                given_away(fragment, PREFIX.strip("/"), uid=user.uid, gid=user.gid) for fragment in fragments
            )
        return fragments

    def _debs(self, plan: LayerPlan) -> Iterable[Sequence[Entry]]:
        return [deb.entries for deb in self._inputs.debs(plan.debs)]

    def _interpreter(self, _plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        yield self._inputs.interpreter(self._lock.python)
        if self._compiler:
            yield self._compiler.of_interpreter()

    def _bytecode(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        if self._compiler:
            yield self._compiler.of_debs(plan.debs)

    def _environment(self, _plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        python, image, prefix = self._lock.python, self._lock.image, PREFIX.strip("/")
        entries = venv_entries(
            prefix, python=python.executable, version=python.version, system_site=python.brings_packages
        )
        yield entries
        if image is not None and image.environment_hidden:
            yield [opaque(prefix)]
        elif image is not None and image.replaced and self._base is not None:
            from taskimage.transform.base import uninstalled

            names = {row.partition(" ")[0] for row in image.replaced}
            yield uninstalled(self._base.tree, names, prefix=prefix, minor=python.minor, above=entries)
        if self._lock.conda:
            # By this file conda's tools know that a folder is an environment.
            yield [Entry.file(f"{CONDA.strip('/')}/conda-meta/history", b"")]

    def _conda(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        return merged(map(self._conda_package, plan.conda), python=self._lock.python.minor)

    def _conda_package(self, pin: CondaPin) -> tuple[Sequence[Entry], Sequence[Entry]]:
        package = self._inputs.conda(pin)
        if package.scripts and pin.name not in self._recipe.waived:
            self._warn_of_conda(pin.name, package.scripts)
        return package.entries, self._compiler.of_conda(pin) if self._compiler else ()

    def _warn_of_conda(self, name: str, scripts: Sequence[str]) -> None:
        names = ", ".join(f"/{path}" for path in scripts)
        self._tools.listener(Warned(f"{name}: conda would run {names}, which is not done", waiving([name])))

    def _wheels(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        return merged(map(self._wheel, plan.wheels), python=self._lock.python.minor)

    def _wheel(self, pin: WheelPin) -> tuple[Sequence[Entry], Sequence[Entry]]:
        from taskimage.adapters.pypi.bounds import check_allowed

        wheel = self._inputs.wheel(pin)
        # A resolution that was made to be built has not asked.
        check_allowed([(wheel.name, wheel.version, wheel.requires_python)], self._lock.python.version)
        return wheel.entries, self._compiler.of_wheel(pin) if self._compiler else ()

    def _effects(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        from taskimage.transform.effects.emulation import effects, effects_before

        debs = self._inputs.debs(plan.debs)
        below = self._base.tree.entries if self._base else ()
        follow = partial(
            effects, debs, platform=self._lock.platform, users=(self._recipe.user,), below=below,
            authorities=self._recipe.authorities,
        )  # fmt: skip
        found = effects_before(follow, waived=self._recipe.waived)
        if not found.unknown:
            yield found.entries
            return
        from taskimage.verbs.scripts import Scripts

        scripts = Scripts(
            tools=self._tools, platform=self._lock.platform, debs=debs, unfollowed=found.unknown,
            waived=self._recipe.waived, stopped=lambda: Crew.current().stopped,
        )  # fmt: skip
        there = {entry.path for entries in (below, *(deb.entries for deb in debs)) for entry in entries}
        blobs = self._base.blobs() if self._base else ()
        # A layer is written when all of its entries are known.
        yield self._inputs.enter_context(scripts.run(blobs, there, found.entries))


@contextlib.contextmanager
def _advised() -> Iterator[None]:
    """In the block, an error about what a package holds says what to do."""
    try:
        yield
    except IntegrityError as error:
        error.hint = error.hint or "it was published like this: choose another version, or leave it out"
        raise
