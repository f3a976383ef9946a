"""`build` and `build_all`: specs become images. What several share is resolved, fetched, made and sent once.

Each spec is built as if it were alone, several at a time; they meet in one workshop, which makes every layer once, and
in what is known of registries, which get every blob once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from taskimage.adapters.crew import Crew
from taskimage.adapters.settings import Settings
from taskimage.adapters.witness import lost_sight
from taskimage.model.errors import TaskImageError
from taskimage.model.events import Listener, ignore
from taskimage.model.spec import ImageSpec
from taskimage.model.value import dataclass
from taskimage.verbs.build import Built, build_ordered
from taskimage.verbs.knownspec import KnownSpecs
from taskimage.verbs.prepare import Order, load_spec, order
from taskimage.verbs.tools import Tools
from taskimage.verbs.workshop import Workshop

__all__ = ["Outcome", "Wishes", "build", "build_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How images are built, beyond what their specs say: the arguments of `build`, for any number of specs."""

    root: Path | None = None
    locked: bool = False
    offline: bool = False
    force: bool = False
    platform: str | None = None
    registry: str | None = None
    tag: str | None = None
    push: bool | None = None
    keep: bool = False
    cached: bool = True
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one spec: an image, or what keeps it from being there."""

    spec: Path | ImageSpec
    built: Built | None = None
    error: TaskImageError | None = None

    def result(self) -> Built:
        """The image. Raises the error."""
        if self.built is None:
            raise self.error or TaskImageError("nothing came of it")
        return self.built


def build(
    path: Path | ImageSpec,
    *,
    root: Path | None = None,
    locked: bool = False,
    offline: bool = False,
    force: bool = False,
    platform: str | None = None,
    registry: str | None = None,
    tag: str | None = None,
    push: bool | None = None,
    keep: bool = False,
    cached: bool = True,
    verify: bool = False,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Built:
    """The image of a spec: in its registry when it has one, else in the store.

    Args:
        path: The YAML file, or a spec.
        root: Where the spec's relative paths start; by default beside the file.
        locked: Refuse to build without a lock.
        offline: Use only what the store has, and publish nothing.
        force: Make the image anew, whatever exists, and resolve anew what has no lock.
        platform: Instead of the spec's; several with commas between.
        registry: Instead of the spec's.
        tag: Instead of the tag that content or spec give.
        push: Publish the image; by default, when its spec or the settings name a registry.
        keep: Have all of the image in the store too, when it is published.
        cached: Believe what the registry's ``buildcache`` says of its layers.
        verify: Make every layer anew, and compare it with what is known of it.
        settings: By default, those of this process.
        listener: Hears of progress and warnings.

    Raises:
        StaleLock: The lock beside the file was made for something else.
        CannotBuild: The spec asks for what cannot be made.
        IntegrityError: With ``verify``, a layer is not what its inputs give.
        NotAllowed: The registry wants credentials, or others.
        Unreachable: The registry, or a source of packages, gave no answer that can be trusted.
    """
    wishes = Wishes(
        root=root, locked=locked, offline=offline, force=force, platform=platform, registry=registry, tag=tag,
        push=push, keep=keep, cached=cached, verify=verify,
    )  # fmt: skip
    (outcome,) = build_all([path], wishes, settings=settings, listener=listener)
    return outcome.result()


def build_all(
    specs: Iterable[Path | ImageSpec],
    wishes: Wishes | None = None,
    *,
    on: str | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
    came: Callable[[Outcome], object] = lambda _: None,
) -> list[Outcome]:
    """The images of ``specs``, in their order; one that fails does not stop the rest.

    Args:
        specs: YAML files, or specs.
        wishes: How all of them are built.
        on: ``dask:tcp://HOST:PORT``, a cluster whose workers make the layers; by default this machine does.
        settings: By default, those of this process.
        listener: Hears of progress and warnings.
        came: Gets each outcome, in the order of ``specs``, as soon as it and all before it are known. It is called by
            one thread at a time, and whatever it raises ends everything.

    Raises:
        BadInput: ``on`` is no address.
        CannotBuild: `distributed` is not installed.
        Unreachable: There is no scheduler at that address.
    """
    wishes, settings = wishes or Wishes(), settings or Settings.load()
    with Workshop() as workshop:
        if on is not None:
            from taskimage.adapters.cluster import Cluster

            workshop.cluster = workshop.enter_context(Cluster(on))
        fleet = _Fleet(
            specs, wishes, Tools(settings, listener, wishes.offline, together=True), workshop, came
        )
        Crew.run(fleet.build, range(len(fleet.specs)))
    return fleet.outcomes


class _Fleet:
    """Specs on their way to being images."""

    def __init__(
        self,
        specs: Iterable[Path | ImageSpec],
        wishes: Wishes,
        tools: Tools,
        workshop: Workshop,
        came: Callable[[Outcome], object],
    ) -> None:
        self.specs: Sequence[Path | ImageSpec] = list(specs)
        self.outcomes: list[Outcome] = []
        self._wishes = wishes
        self._tools = tools
        self._workshop = workshop
        self._came = came
        self._early: dict[int, Outcome] = {}
        self._telling = threading.Lock()
        self._reading = threading.Lock()

    def build(self, number: int) -> None:
        spec = self.specs[number]
        try:
            outcome = Outcome(spec, built=self._built(spec))
        except TaskImageError as error:
            outcome = Outcome(spec, error=error)
        with self._telling:
            self._early[number] = outcome
            while (following := self._early.pop(len(self.outcomes), None)) is not None:
                self.outcomes.append(following)
                self._came(following)

    def _built(self, spec: Path | ImageSpec) -> Built:
        wishes = self._wishes
        known = KnownSpecs(self._tools.store)
        with self._reading:
            tools, wanted = self._read(spec, known)
        built = build_ordered(
            tools, wanted, force=wishes.force, push=wishes.push, keep=wishes.keep, cached=wishes.cached,
            verify=wishes.verify, workshop=self._workshop,
        )  # fmt: skip
        known.keep()
        return built

    def _read(self, spec: Path | ImageSpec, known: KnownSpecs) -> tuple[Tools, Order]:
        wishes, settings = self._wishes, self._tools.settings
        loaded = load_spec(
            spec, root=wishes.root, platform=wishes.platform, registry=wishes.registry, settings=settings,
            read=known.read,
        )  # fmt: skip
        tools = self._tools.also_for(loaded)
        if tools.registry_config:
            lost_sight()  # of who lets us in: a receipt is checked with the machine's own credentials
        return tools, order(tools, loaded, locked=wishes.locked or settings.locked, tag=wishes.tag)
