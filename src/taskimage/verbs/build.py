"""`build`: a spec, and its lock, become an image in the store. What is known by its key is not made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskimage.adapters import layout
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import LoadedSpec, SpecFiles, collect, host_machine, load, lock_path
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, CannotBuild, IntegrityError, NotFound, StaleLock
from taskimage.model.events import Listener, Notice, ignore
from taskimage.model.image import Image
from taskimage.model.lock import Lock, PlatformLock, Wants
from taskimage.model.lockfile import dumps, loads, stale
from taskimage.model.oci import Descriptor, ExecutionConfig, Platform, canonical_json
from taskimage.model.reference import Reference
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import check_served
from taskimage.model.spec.tag import spec_tag
from taskimage.model.user import User
from taskimage.transform import bytecode, effects
from taskimage.transform.assemble import FORMAT, BuiltImage, Layer, assemble
from taskimage.transform.plan import LayerPlan, plan
from taskimage.transform.runtime import HOME, PREFIX, runtime_config
from taskimage.transform.source import source_entries, tree_digest
from taskimage.transform.tarheader import MTIME
from taskimage.verbs.lock import read_lock, resolve, wants_of
from taskimage.verbs.tools import Tools

__all__ = ["Built", "Prepared", "build", "load_spec", "prepare"]

USERS: Final = (User(name="flytekit", uid=1000, gid=0, home=HOME),)

BUILDER: Final = "dev.taskimage.builder"
"""The annotation and label by which an image of ours is told from another builder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is decided before a layer is made: the image's inputs, its layers to be, and its names."""

    loaded: LoadedSpec
    files: SpecFiles
    lock: PlatformLock
    plans: tuple[LayerPlan, ...]
    execution: ExecutionConfig
    created: int
    content: Digest
    tags: tuple[str, ...]

    @property
    def fqn(self) -> str:
        """The image's name, with its registry when it has one."""
        spec = self.loaded.spec
        return f"{spec.registry}/{spec.name}" if spec.registry else spec.name

    @property
    def names(self) -> tuple[str, ...]:
        """``name:tag`` for each tag, the one that users are given first."""
        return tuple(f"{self.fqn}:{tag}" for tag in self.tags)

    @property
    def key(self) -> Digest:
        """The key of the image: equal keys mean equal manifests."""
        return Digest.of(canonical_json({"content": str(self.content), "created": self.created}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image in the store.

    ``reference`` is ``name:tag@digest``; ``made`` counts the layers that had to be made, and ``fresh`` is True
    when there was nothing to do at all.
    """

    image: Image
    reference: str
    names: tuple[str, ...]
    content: BuiltImage
    made: int
    fresh: bool

    @property
    def manifest(self) -> Descriptor:
        """The descriptor of the image's manifest."""
        return self.content.descriptor


def build(
    path: Path | ImageSpec,
    *,
    root: Path | None = None,
    locked: bool = False,
    offline: bool = False,
    force: bool = False,
    platform: Platform | None = None,
    registry: str | None = None,
    tag: str | None = None,
    push: bool | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Built:
    """The image of a spec, in the store.

    Args:
        path: The YAML file, or a spec.
        root: Where the spec's relative paths start; by default beside the file.
        locked: Refuse to build without a lock.
        offline: Use only what the store has.
        force: Make the image anew, and resolve anew what has no lock.
        platform: Instead of the spec's.
        registry: Instead of the spec's.
        tag: Instead of the tag that content or spec give.
        push: Send the image to its registry; by default, when it has one.
        settings: By default, those of this process.
        listener: Hears of progress and warnings.

    Raises:
        StaleLock: The lock beside the file was made for something else.
        CannotBuild: The spec asks for what cannot be made.
    """
    settings = settings or Settings.load()
    loaded = load_spec(path, root=root, platform=platform, registry=registry, settings=settings)
    _check_push(loaded.spec, push=push)
    tools = Tools(settings, listener, offline, loaded.spec.options.expired_indexes)
    prepared = prepare(tools, loaded, locked=locked or settings.locked, force=force, tag=tag)
    if not force and (known := _known_image(tools, prepared)):
        return _built(tools, prepared, known, made=0, fresh=True)
    layers, made = _layers(tools, prepared, force=force)
    content = assemble(
        layers,
        prepared.execution,
        platform=prepared.lock.platform,
        created=prepared.created,
        annotations={BUILDER: "taskimage"},
    )
    return _built(tools, prepared, content, made=made, fresh=False)


def prepare(tools: Tools, loaded: LoadedSpec, *, locked: bool, force: bool, tag: str | None) -> Prepared:
    """Everything that is known before a layer is made; resolves what has no lock."""
    spec = loaded.spec
    check_served(spec)
    files = collect(loaded)
    for warning in (*loaded.warnings, *files.warnings):
        tools.listener(warning)
    lock, pinned = _lock(tools, loaded, files.requirements, locked=locked, force=force)
    (platform,) = lock.platforms
    compiled = (platform.python.version, str(bytecode.RECIPE)) if spec.options.bytecode else ()
    plans = plan(
        platform,
        effects=(str(effects.VERSION), *(user.passwd() for user in USERS)),
        environment=(PREFIX, platform.python.version, platform.python.executable),
        bytecode=compiled,
    )
    if files.source.files or files.source.directories:
        digest = str(tree_digest(files.source))
        plans = (*plans, LayerPlan(kind="files", origin="copied files", parameters=(digest,)))
    execution = runtime_config(
        image_id=spec.id,
        env=spec.env,
        entrypoint=spec.entrypoint or (),
    )
    content = _content(plans, execution, platform)
    flytekit_tag = spec_tag(spec, files.digests, machine=host_machine())
    tags = (content.hex[:32], flytekit_tag) if pinned else (flytekit_tag,)
    prepared = Prepared(
        loaded=loaded,
        files=files,
        lock=platform,
        plans=plans,
        execution=execution,
        created=MTIME if tools.settings.source_date_epoch is None else tools.settings.source_date_epoch,
        content=content,
        tags=(tag,) if tag else tags,
    )
    for name in prepared.names:
        Reference.parse(name)
    return prepared


def load_spec(
    path: Path | ImageSpec,
    *,
    root: Path | None,
    platform: Platform | None,
    registry: str | None,
    settings: Settings,
) -> LoadedSpec:
    """The spec of a YAML file, or a spec itself, with what the caller or else the settings decide."""
    if isinstance(path, ImageSpec):
        loaded = LoadedSpec(spec=path, path=Path(path.origin.path) if path.origin else None, root=root)
    else:
        loaded = load(path, root=root)
    spec = loaded.spec
    if platform is not None:
        spec = dataclasses.replace(spec, platform=str(platform))
    registry = registry or (settings.registry if spec.registry is None else None)
    if registry:
        spec = dataclasses.replace(spec, registry=registry)
    return dataclasses.replace(loaded, spec=spec)


def _check_push(spec: ImageSpec, *, push: bool | None) -> None:
    if push or (push is None and spec.registry):
        raise CannotBuild(
            f"pushing {spec.name!r} to {repr(spec.registry) if spec.registry else 'a registry'} is not served yet",
            hint="build with --no-push (push=False), and hand the image on with -o oci:DIR and a tool of your own",
        )


def _lock(
    tools: Tools, loaded: LoadedSpec, requirements: Sequence[RequirementsFile], *, locked: bool, force: bool
) -> tuple[Lock, bool]:
    """The lock to build from, and whether it is the one that is kept beside the spec."""
    file = lock_path(loaded.path) if loaded.path else None
    lock = read_lock(file) if file else None
    wants = wants_of(loaded.spec, requirements, lock)
    if lock is None:
        if locked:
            raise BadInput(
                f"there is no lock {str(file)!r}", hint=f"make one with `taskimage lock {loaded.path}`"
            )
        return _remembered(tools, loaded.spec, wants, requirements, force=force), False
    if changes := stale(lock, wants):
        raise StaleLock(
            f"{file}: the lock no longer says what {loaded.path} wants:\n"
            + "\n".join(f"  {line}" for line in changes),
            changes=changes,
            hint=f"make it anew with `taskimage lock {loaded.path}`",
        )
    return lock, True


def _remembered(
    tools: Tools, spec: ImageSpec, wants: Wants, requirements: Sequence[RequirementsFile], *, force: bool
) -> Lock:
    """What the store remembers of an earlier resolution for the same wants, or a new one."""
    key = Digest.of(canonical_json(dataclasses.asdict(wants)))
    record = None if force else tools.store.record("resolutions", key)
    if record is not None:
        return loads(record["lock"], where="resolution in the store")
    tools.listener(Notice("there is no lock: resolving for this machine alone (`taskimage lock` writes one)"))
    lock = resolve(tools, spec, wants, requirements)
    tools.store.keep_record("resolutions", key, {"lock": dumps(lock)})
    return lock


def _content(plans: tuple[LayerPlan, ...], execution: ExecutionConfig, lock: PlatformLock) -> Digest:
    """A digest of all that the image is made of, with nothing of this machine, and no time."""
    return Digest.of(
        canonical_json(
            {
                "format": FORMAT,
                "platform": str(lock.platform),
                "layers": [str(item.key) for item in plans],
                "execution": execution.to_dict(),
            }
        )
    )


def _known_image(tools: Tools, prepared: Prepared) -> BuiltImage | None:
    record = tools.store.record("images", prepared.key)
    if record is None:
        return None
    try:
        content = layout.load(tools.store, Descriptor.from_dict(record["manifest"]))
    except (NotFound, IntegrityError):
        return None
    there = all(tools.store.blob_path(layer.digest).exists() for layer in content.manifest.layers)
    return content if there else None


def _layers(tools: Tools, prepared: Prepared, *, force: bool) -> tuple[list[Layer], int]:
    from taskimage.verbs.inputs import Indexes
    from taskimage.verbs.make import known_layer, make_layers

    layers = {item: None if force else known_layer(tools, item) for item in prepared.plans}
    missing = [item for item, layer in layers.items() if layer is None]
    spec = prepared.loaded.spec
    made = make_layers(
        tools,
        missing,
        lock=prepared.lock,
        indexes=Indexes(spec.pip_index, tuple(spec.pip_extra_index_url or ()), prepared.files.requirements),
        users=USERS,
        files=source_entries(prepared.files.source),
        bytecode=spec.options.bytecode,
        waived=spec.options.waive_scripts,
    )
    return [layers[item] or made[item] for item in prepared.plans], len(missing)


def _built(tools: Tools, prepared: Prepared, content: BuiltImage, *, made: int, fresh: bool) -> Built:
    store = tools.store
    if not fresh:
        layout.put(store, content)
        store.keep_record("images", prepared.key, {"manifest": content.descriptor.to_dict()})
    for name in prepared.names:
        known = layout.find(store, name)
        if known is None or known.digest != content.digest:
            layout.tag(store, name, content.descriptor)
    spec = prepared.loaded.spec
    return Built(
        image=Image(name=spec.name, fqn=prepared.fqn, digest=str(content.digest)),
        reference=f"{prepared.names[0]}@{content.digest}",
        names=prepared.names,
        content=content,
        made=made,
        fresh=fresh,
    )
