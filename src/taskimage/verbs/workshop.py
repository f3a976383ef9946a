"""Where the layers of all images of a run are made: each once, many at a time, for whoever waits for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, TypeVar

from taskimage.adapters.crew import Crew
from taskimage.adapters.processors import available
from taskimage.model.digest import Digest
from taskimage.transform.assemble import Layer
from taskimage.transform.plan import LayerPlan
from taskimage.verbs.recipe import Recipe
from taskimage.verbs.tools import Tools
from taskimage.verbs.whereabouts import Whereabouts

if TYPE_CHECKING:
    from taskimage.adapters.cluster import Cluster
    from taskimage.adapters.specfiles.asked import Asked
    from taskimage.verbs.make import Maker

__all__ = ["Workshop"]

K = TypeVar("K")
T = TypeVar("T")

# Seconds: how often somebody who waits looks up, and how long those who were stopped get to clean up.
_LOOK_UP: Final = 0.2
_GRACE: Final = 3.0


class Workshop(contextlib.ExitStack):
    """A context manager; when the block ends, whatever is still being made is given up.

    Args:
        cluster: Workers elsewhere, which make what any machine can make; by default everything is made here.
    """

    def __init__(self, cluster: Cluster | None = None) -> None:
        super().__init__()
        self.cluster = cluster
        self.whereabouts = Whereabouts()
        self.preparing = threading.Lock()
        """Held while an image is prepared: what one resolves serves for the next."""
        # A layer is waited for, by turns, from the network, from processors, and to the network.
        self._here: Executor = ThreadPoolExecutor(max(Crew.SIZE, 2 * available()), "layer")
        self._layers: dict[Digest, Future[Layer]] = {}
        self._makers: dict[tuple[Tools, Recipe, bool], _Shared] = {}
        self._lock = threading.Lock()
        self.callback(self._close)

    def _close(self) -> None:
        self._here.shutdown(wait=False, cancel_futures=True)
        # What was stopped cleans up; what hangs is left behind.
        wait([layer for layer in self._layers.values() if layer.running()], timeout=_GRACE)

    def layers(
        self, plans: Sequence[LayerPlan], begin: Callable[[Sequence[LayerPlan]], Iterable[Future[Layer]]]
    ) -> dict[LayerPlan, Future[Layer]]:
        """The layers of ``plans``; ``begin`` begins to make those that nobody else has begun, and gives one for each."""
        with self._lock:
            new = [plan for plan in plans if plan.key not in self._layers]
            self._layers |= zip((plan.key for plan in new), begin(new), strict=True)
            return {plan: self._layers[plan.key] for plan in plans}

    def here(self, make: Callable[[], Layer]) -> Future[Layer]:
        """What ``make`` gives, in one of the threads, which stops when the crew of this one does."""
        return self._here.submit(copy_context().run, make)

    def after(self, future: Future[T], then: Callable[[Future[T]], Layer]) -> Future[Layer]:
        """What ``then`` gives, in one of the threads, once ``future`` has ended."""
        result: Future[Layer] = Future()

        def run() -> None:
            try:
                result.set_result(then(future))
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                result.set_exception(error)

        def ended(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                self._here.submit(run)

        future.add_done_callback(ended)
        return result

    def wait(self, layers: Mapping[K, Future[Layer]], check: Callable[[], object]) -> dict[K, Layer]:
        """The layers, once they are all there. Raises the first failure, or what ``check`` does, and waits for no more."""
        waiting = set(layers.values())
        while waiting:
            done, waiting = wait(waiting, timeout=_LOOK_UP, return_when=FIRST_EXCEPTION)
            Crew.current().check()
            check()
            if any(future.exception() for future in done):
                break
            if self.cluster is not None:
                self.cluster.check()
        for future in layers.values():
            if future.done():
                future.result()
        return {key: future.result() for key, future in layers.items()}

    @contextlib.contextmanager
    def maker(self, tools: Tools, recipe: Recipe, asked: Asked, *, anew: bool) -> Iterator[Maker]:
        """What makes layers by ``recipe``: one for all images that have it, for as long as any is being made."""
        from taskimage.verbs.make import Maker

        key = (tools, recipe, anew)
        with self._lock:
            shared = self._makers.get(key) or _Shared(Maker(tools, recipe, asked, anew=anew))
            self._makers[key] = shared
            shared.users += 1
        try:
            yield shared.maker
        finally:
            with self._lock:
                shared.users -= 1
                if not shared.users:
                    del self._makers[key]
            if not shared.users:
                shared.maker.close()


class _Shared:
    """A maker, and how many use it."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.users = 0
