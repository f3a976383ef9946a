"""`check`: whether a build would find what it needs, in seconds and without building: each answer a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from taskimage.adapters.crew import Crew
from taskimage.adapters.sandbox import find_sandbox
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import LoadedSpec, host_machine, requirements_of
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.errors import TaskImageError
from taskimage.model.events import Listener, counted, ignore
from taskimage.model.lock import Lock, Wants
from taskimage.model.oci import Platform
from taskimage.model.reference import Reference
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import check_served
from taskimage.model.value import dataclass
from taskimage.verbs.commands import Commands
from taskimage.verbs.lock import lock_path, read_lock, wants_of
from taskimage.verbs.prepare import load_spec
from taskimage.verbs.resolve import Resolving
from taskimage.verbs.tools import Tools

__all__ = ["Finding", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer: what was looked at, what came of it, and the error when that is none to build with.

    ``needed`` is false where the build does without.
    """

    subject: str
    text: str
    error: TaskImageError | None = None
    needed: bool = True


def check(
    path: Path,
    *,
    root: Path | None = None,
    platform: str | None = None,
    registry: str | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> tuple[Finding, ...]:
    """What a build of the spec in the YAML file ``path`` would find, in a fixed order.

    Looked at: whether the registry takes a push; for each platform whether Debian's archives or the base image
    answer, and have what is named, and whether every Python package has a wheel; and the sandbox. Where the base image
    is a spec, all of that of the base too, before it. Versions are those of the lock where there is one. Nothing is made, and nothing is left in the registry. Arguments are as
    for `build`.

    Raises InvalidSpec and what else keeps the spec itself from being read.
    """
    settings = settings or Settings.load()
    loaded = load_spec(path, root=root, platform=platform, registry=registry, settings=settings)
    check_served(loaded.spec)
    tools = Tools.of(loaded, settings=settings, listener=listener)
    questions: list[Callable[[], list[Finding]]] = []
    for one in _levels(loaded, read_lock(lock_path(path))):
        questions += _questions(tools, one)
    if not loaded.spec.commands:
        questions.append(lambda: [_sandbox()])
    found: dict[int, list[Finding]] = {}

    def ask(number: int) -> None:
        found[number] = questions[number]()

    Crew.run(ask, range(len(questions)))
    return tuple(finding for number in sorted(found) for finding in found[number])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """A spec, or one that it stands on: ``place`` is where that is in the whole, "" at the top."""

    loaded: LoadedSpec
    requirements: Sequence[RequirementsFile]
    wants: Wants
    lock: Lock | None
    place: str


def _levels(loaded: LoadedSpec, lock: Lock | None, place: str = "") -> list[_Level]:
    """``loaded`` and, before it, the specs that it stands on, the lowest first.

    What a base that is not built yet will have is not known: each is asked about as if it stood on what that
    stands on.
    """
    requirements = requirements_of(loaded)
    wants = wants_of(loaded.spec, requirements, lock)
    below: list[_Level] = []
    if loaded.base is not None:
        below = _levels(loaded.base, lock.base if lock else None, f"{place}base_image: ")
        ground = below[-1].wants
        wants = replace(
            wants,
            base_image=ground.base_image,
            suite=ground.suite,
            python=wants.python or ground.python,
            python_exec="",
        )
    return [
        *below,
        _Level(loaded=loaded, requirements=requirements, wants=wants, lock=lock, place=place),
    ]


def _questions(tools: Tools, level: _Level) -> Iterator[Callable[[], list[Finding]]]:
    loaded, spec = level.loaded, level.loaded.spec

    def placed(ask: Callable[[], list[Finding]]) -> Callable[[], list[Finding]]:
        return lambda: [replace(one, subject=f"{level.place}{one.subject}") for one in ask()]

    if loaded.registry:
        yield placed(lambda: [_push(tools, Reference.parse(loaded.fqn))])
    for text in level.wants.platforms:
        platform = Platform.parse(text)
        resolving = Resolving(
            tools, spec, level.wants, level.requirements, platform, keep=level.lock, dry=True
        )
        yield placed(partial(_inputs, resolving, level.wants))
    if spec.commands:
        yield placed(lambda: [_commands(tools, spec)])


def _push(tools: Tools, reference: Reference) -> Finding:
    subject = f"registry {reference.name}"
    try:
        tools.registries.repository(reference, push=True).check_push()
    except TaskImageError as error:
        return Finding(subject=subject, text="takes no push from here", error=error)
    return Finding(subject=subject, text="takes a push")


def _inputs(resolving: Resolving, wants: Wants) -> list[Finding]:
    system = f"base image {wants.base_image}" if wants.base_image else f"Debian {wants.suite}"
    subjects = [f"{name} for {resolving.platform}" for name in (system, "Python packages")]
    try:
        ground = resolving.ground
    except TaskImageError as error:
        return [Finding(subject=subjects[0], text="does not have what is wanted", error=error)]
    debs = counted(len(ground.base) + len(ground.apt) + len(ground.conda), "package")
    system_found = Finding(subject=subjects[0], text=f"has Python {ground.python.version} and {debs}")
    try:
        packages = resolving.packages
    except TaskImageError as error:
        return [system_found, Finding(subject=subjects[1], text="cannot all be had", error=error)]
    text = f"{counted(len(packages.wheels), 'wheel')}, one for each package"
    if packages.unbuilt:
        text += f" but those that would be built: {', '.join(packages.unbuilt)}, and what they need"
    return [system_found, Finding(subject=subjects[1], text=text)]


def _commands(tools: Tools, spec: ImageSpec) -> Finding:
    try:
        for platform in spec.platforms(machine=host_machine()):
            Commands.ready(tools, spec, platform)
    except TaskImageError as error:
        return Finding(subject="commands", text="cannot be run here", error=error)
    return Finding(subject="commands", text="can be run here")


def _sandbox() -> Finding:
    try:
        sandbox = find_sandbox()
    except TaskImageError as error:
        return Finding(
            subject="sandbox", text="none, and `taskimage run` needs one", error=error, needed=False
        )
    return Finding(subject="sandbox", text=sandbox.warning or "is there, for `taskimage run`")
