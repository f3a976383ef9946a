"""What is decided before a layer is made: the inputs of an image, its layers to be, and its names.

`order` reads this disk and nothing else; `prepare` resolves what has no lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import LoadedSpec, Reader, SpecFiles, collect, host_machine, load
from taskimage.adapters.specfiles.projectlocks import project_of
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, StaleLock
from taskimage.model.events import Notice
from taskimage.model.lock import Lock, PlatformLock
from taskimage.model.lockfile import dumps, parsed, read
from taskimage.model.oci import ExecutionConfig, Platform, canonical_json
from taskimage.model.reference import Reference
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import check_served
from taskimage.model.spec.tag import spec_tag
from taskimage.model.value import dataclass
from taskimage.transform.assemble import FORMAT
from taskimage.transform.plan import LayerPlan
from taskimage.transform.runtime import CONDA, FLYTEKIT, Conventions, runtime_config
from taskimage.transform.source import tree_digest
from taskimage.transform.tarheader import MTIME
from taskimage.verbs.fingerprint import lock_file, relock
from taskimage.verbs.hostruntime import runtime_requirement
from taskimage.verbs.lock import outdated, read_lock, wants_of
from taskimage.verbs.packages import plan_packages
from taskimage.verbs.tools import Tools

__all__ = ["Order", "Planned", "Prepared", "check_base", "load_spec", "order", "ordered", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be built, as far as this disk tells.

    ``lock`` is the one beside the spec; ``tag`` is flytekit's, or the one that was asked for in place of all.
    ``image_id`` is what a running task knows its image by.
    ``base`` is what is to be built first, where the base image is a spec; ``made`` is that base, ``name@digest``,
    once it is there. ``conventions`` are those of the framework whose tasks it is for. ``command_env``
    are the variables that commands see, where those are not all of the spec's.
    """

    loaded: LoadedSpec
    files: SpecFiles
    lock: Lock | None
    tag: str
    image_id: str
    tag_was_asked_for: bool
    base: Order | None = None
    made: str = ""
    is_base: bool = False
    conventions: Conventions = FLYTEKIT
    command_env: Mapping[str, str] | None = None

    @property
    def fqn(self) -> str:
        """The image's name, with its registry when it has one."""
        return self.loaded.fqn

    @property
    def is_named_by_flytekit(self) -> bool:
        """Whether flytekit's tag is all that the image is known by."""
        return self.lock is None and not self.tag_was_asked_for

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """What an image is wanted for."""
        if self.lock is not None:
            return tuple(one.platform for one in self.lock.platforms)
        return self.loaded.spec.platforms(machine=host_machine())


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The image for one platform: what goes into it, and how it starts; ``commanded`` is the spec as commands see it."""

    spec: ImageSpec
    image_id: str
    lock: PlatformLock
    plans: tuple[LayerPlan, ...]
    conventions: Conventions = FLYTEKIT
    commanded: ImageSpec

    def execution(self, base: ExecutionConfig | None = None) -> ExecutionConfig:
        """How a container starts, on a base image that starts as ``base`` says."""
        return self._execution(self.image_id, base)

    @property
    def content(self) -> Digest:
        """A digest of all that the image is made of, with nothing of this machine, and no time.

        The spec's id is no part of it: that moves with the order of a list, or the address of an index.
        """
        execution = self._execution("")
        # What refers to another variable has its value by now.
        return self._digest(dataclasses.replace(execution, env=tuple(sorted(execution.env))))

    @property
    def identity(self) -> Digest:
        """A digest of the same, and of the spec's id: equal ones are the same bytes."""
        return self._digest(self.execution())

    def _execution(self, image_id: str, base: ExecutionConfig | None = None) -> ExecutionConfig:
        spec, conventions = self.spec, self.conventions
        return runtime_config(
            image_id=image_id,
            env=spec.env,
            entrypoint=spec.entrypoint,
            runtime_packages=spec.runtime_packages or (),
            own_authorities=bool(spec.options.ca_certificates),
            programs=(f"{CONDA}/bin",) if self.lock.conda else (),
            user=f"{conventions.user.uid}:{conventions.user.gid}",
            home=conventions.user.home,
            workdir=conventions.workdir,
            base=base,
        )

    def _digest(self, execution: ExecutionConfig) -> Digest:
        document = {
            "format": FORMAT,
            "platform": str(self.lock.platform),
            "layers": [str(item.key) for item in self.plans],
            "execution": execution.to_dict(),
        }
        if self.lock.image is not None:
            document["base"] = str(self.lock.image.manifest)
        return Digest.of(canonical_json(document))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is decided before a layer is made. ``images`` has one for each platform, in the spec's order."""

    order: Order
    images: tuple[Planned, ...]
    created: int

    @property
    def content(self) -> Digest:
        """A digest of what the images are made of, by which they are tagged where they have a lock."""
        return _together([image.content for image in self.images])

    @property
    def identity(self) -> Digest:
        """A digest of the same and of the spec's id, which stands in the manifest: equal ones are one image."""
        return _together([image.identity for image in self.images])

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the image, the one that users are given first."""
        if self.order.lock is None or self.order.tag_was_asked_for:
            return (self.order.tag,)
        return self.content.hex[:32], self.order.tag

    @property
    def names(self) -> tuple[str, ...]:
        """``name:tag`` for each tag."""
        return tuple(f"{self.order.fqn}:{tag}" for tag in self.tags)


def _together(digests: Sequence[Digest]) -> Digest:
    """A digest of the images of several platforms; what there is one of stands for itself."""
    return digests[0] if len(digests) == 1 else Digest.of(canonical_json([str(one) for one in digests]))


def load_spec(
    path: Path | ImageSpec,
    *,
    root: Path | None,
    platform: str | None,
    registry: str | None,
    settings: Settings,
    read: Reader | None = None,
) -> LoadedSpec:
    """The spec of a YAML file, which ``read`` reads, or a spec itself, with what the caller or else the settings decide."""
    if isinstance(path, ImageSpec):
        file = Path(path.origin.path) if path.origin else None
        project = None if file else project_of(root or Path.cwd())
        loaded = LoadedSpec(spec=path, path=file, root=root, project=project)
    else:
        loaded = load(path, root=root, read=read)
    spec = loaded.spec
    if platform is not None:
        spec = _for_platform(spec, platform)
    # What is decided elsewhere is no part of the spec: its id and flytekit's tag are the same in every registry.
    wanted = registry or (settings.registry if spec.registry is None else spec.registry)
    return dataclasses.replace(loaded, spec=spec, registry=wanted.lower() if wanted else None)


def _for_platform(spec: ImageSpec, platform: str) -> ImageSpec:
    """``spec`` for another platform, and with it the specs that it stands on."""
    base = _for_platform(spec.base, platform) if spec.base else spec.base_image
    return dataclasses.replace(spec, platform=platform, base_image=base)


def order(tools: Tools, loaded: LoadedSpec, *, locked: bool, tag: str | None) -> Order:
    """What ``loaded`` asks for, with its files read. Raises as reading them does, and StaleLock."""
    check_served(loaded.spec)
    file = lock_file(loaded)
    lock = read_lock(file)
    if lock is None and locked:
        raise BadInput(f"there is no lock {str(file)!r}", hint=f"make one with {relock(loaded)}")
    made = ordered(tools, loaded, lock, tag=tag)
    if lock is not None and (changes := outdated(loaded, lock, made.files.requirements)):
        raise stale_lock(loaded, file, changes)
    return made


def stale_lock(loaded: LoadedSpec, file: Path, changes: tuple[str, ...]) -> StaleLock:
    """The error of a build with the lock in ``file``, where ``loaded`` wants ``changes``."""
    lines = "\n".join(f"  {line}" for line in changes)
    return StaleLock(
        f"{file}: the lock no longer says what {loaded.path or loaded.spec.name} wants:\n{lines}",
        changes=changes,
        hint=f"make it anew with {relock(loaded)}",
    )


def ordered(
    tools: Tools, loaded: LoadedSpec, lock: Lock | None, *, tag: str | None = None, is_base: bool = False
) -> Order:
    """What ``loaded`` asks for with ``lock``, fresh or not; of the base image too, where that is a spec."""
    files = collect(loaded)
    for warning in (*loaded.warnings, *files.warnings):
        tools.listener(warning)
    below = lock.base if lock else None
    made = Order(
        loaded=loaded,
        files=files,
        lock=lock,
        tag=tag or spec_tag(loaded.spec, files.digests, machine=host_machine()),
        image_id=loaded.spec.id,
        tag_was_asked_for=tag is not None,
        base=ordered(tools, loaded.base, below, is_base=True) if loaded.base else None,
        is_base=is_base,
    )
    Reference.parse(f"{made.fqn}:{made.tag}")
    return made


def check_base(order: Order) -> None:
    """The base that was built first is the one that the lock pins. Raises StaleLock."""
    if order.lock is None or not order.made:
        return
    _, _, now = order.made.partition("@")
    pins = {str(one.image.digest) for one in order.lock.platforms if one.image}
    if pins != {now}:
        change = (
            f"base_image: {', '.join(sorted(pins))} is locked, and {order.made} is what its spec gives now"
        )
        raise StaleLock(
            f"the lock no longer says what its base image is:\n  {change}",
            changes=(change,),
            hint="make it anew with `taskimage lock`",
        )


def prepare(
    tools: Tools, order: Order, *, force: bool, meanwhile: Callable[[], object] | None = None
) -> Prepared:
    """Everything that is known before a layer is made; resolves what has no lock, with ``force`` in any case.

    Where the base image is a spec and there is no lock, that base has to be there. Who makes the layers at once has
    something to do ``meanwhile``, while uv is waited for, and sees for himself which Pythons wheels allow.
    """
    lock = order.lock or _resolution(tools, order, force=force, meanwhile=meanwhile)
    epoch = tools.settings.source_date_epoch
    return Prepared(
        order=order,
        images=tuple(_planned(order, platform) for platform in lock.platforms),
        # What stands on a base pins its digest, which is the same on every machine.
        created=MTIME if epoch is None or order.is_base else epoch,
    )


def _planned(order: Order, lock: PlatformLock) -> Planned:
    spec = order.loaded.spec
    plans = plan_packages(spec, lock, user=order.conventions.user, authorities=_authorities(order.files))
    source = order.files.source
    if source.files or source.directories:
        digest = str(tree_digest(source))
        links = lock.image.links if lock.image else ()
        plans = (*plans, LayerPlan(kind="files", origin="copied files", parameters=(digest, *links)))
    env = order.command_env
    commanded = spec if env is None else dataclasses.replace(spec, env=env)
    if spec.commands:
        from taskimage.verbs.commands import commands_plan

        plans = (*plans, commands_plan(commanded, plans, lock.image.manifest if lock.image else None))
    return Planned(
        spec=spec,
        image_id=order.image_id,
        lock=lock,
        plans=plans,
        conventions=order.conventions,
        commanded=commanded,
    )


def _authorities(files: SpecFiles) -> list[str]:
    """What the image's system files depend on of ``files``."""
    if not files.certificates:
        return []
    from taskimage.transform.effects.authorities import authority_files

    # A name has the digest of its certificate.
    return [entry.path for entry in authority_files(files.certificates)]


def _resolution(tools: Tools, order: Order, *, force: bool, meanwhile: Callable[[], object] | None) -> Lock:
    """What the store remembers of an earlier resolution for the same wants, or a new one."""
    spec, requirements = order.loaded.spec, order.files.requirements
    wants = wants_of(spec, requirements, None)
    if order.made:
        wants = dataclasses.replace(wants, base_image=order.made)
    # The flytekit that is added is this environment's, and another environment may use the same store.
    added = dataclasses.replace(wants, runtime=" ".join(runtime_requirement(wants)))
    key = Digest.of(canonical_json(dataclasses.asdict(added)))
    record = None if force else tools.store.record("resolutions", key)
    if record is not None:
        # One that another version of ours wrote, in its own form, is made anew.
        with contextlib.suppress(BadInput):
            return read(record, where="resolution in the store")
    from taskimage.verbs.resolve import resolve

    if order.loaded.path:
        tools.listener(
            Notice("there is no lock: resolving for this machine alone (`taskimage lock` writes one)")
        )
    lock = resolve(tools, spec, wants, requirements, unread=meanwhile is None, meanwhile=meanwhile)
    # As JSON, which is read sooner.
    tools.store.keep_record("resolutions", key, parsed(dumps(lock), where="resolution"))
    return lock
