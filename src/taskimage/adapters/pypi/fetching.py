"""The files of pins come into the store: from where they were seen, else from where their index says that they are.

What an index no longer has is looked for in the others of the same spec, by file name and digest: the digest makes
the bytes safe wherever they are from. Nobody else is asked, and the default index last: a name that is private is
told to a public index only where that is one of the spec's own, and no other has the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from taskimage.adapters.http import Fetch, Http
from taskimage.adapters.pypi.addresses import look_up
from taskimage.adapters.pypi.indexes import DIRECT, Index
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotAllowed, NotFound, TaskImageError, Unreachable
from taskimage.model.events import Listener, Warned
from taskimage.model.lock import WheelPin
from taskimage.model.value import dataclass

__all__ = ["Fetching", "Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where pins are: the ``known`` indexes, that of each pin, and where the files of some were seen."""

    known: Sequence[Index]
    sources: Sequence[tuple[WheelPin, Index]]
    told: Mapping[Digest, str]


@dataclass(frozen=True, slots=True)
class Fetching:
    """Fetches pins; ``moved`` hears how many bytes came, the listener of what another index had to give."""

    store: Store
    http: Http
    listener: Listener
    moved: Callable[[int], None]

    def fetch(self, places: Places) -> None:
        """The file of every pin is in the store.

        Raises NotFound for a file that no index has any more, NotAllowed, Unreachable, IntegrityError.
        """
        try:
            self._fetch(places.sources, places.told)
        except NotFound:
            left = [one for one in places.sources if not self.store.input_path(one[0].digest).exists()]
            self.http.each(lambda source: self._find(*source, places), left)

    def _fetch(self, sources: Sequence[tuple[WheelPin, Index]], told: Mapping[Digest, str]) -> None:
        urls = {**told, **look_up(self.http, [(pin, at) for pin, at in sources if pin.digest not in told])}
        wanted = [
            Fetch((url := urls[pin.digest],), pin.digest, pin.size, pin.file, at.login(url))
            for pin, at in sources
        ]
        self.http.fetch(self.store, wanted, moved=self.moved)

    def _find(self, pin: WheelPin, index: Index, places: Places) -> None:
        """One file, wherever it is by now."""
        if index == DIRECT:
            self._fetch([(pin, index)], places.told)
            return
        try:
            # It may have moved since it was seen.
            self._fetch([(pin, index)], {})
        except NotFound as error:
            self._find_elsewhere(pin, index, places.known, error)

    def _find_elsewhere(
        self, pin: WheelPin, index: Index, known: Sequence[Index], lost: TaskImageError
    ) -> None:
        failures: dict[Index, TaskImageError] = {index: lost}
        for other in _others(index, known):
            try:
                self._fetch([(pin, other)], {})
            except TaskImageError as error:
                failures[other] = error
                continue
            self.listener(
                Warned(
                    f"the index {index} no longer has {pin.file!r}: taken from the index {other}, by its digest",
                    hint=f"lock again with --upgrade-package {pin.name}, or keep what is locked with `taskimage vendor`",
                )
            )
            return
        looked = ", ".join(f"{at} ({_outcome(error)})" for at, error in failures.items())
        # What gave no answer may have it.
        is_unknown = any(isinstance(error, Unreachable) for error in failures.values())
        raise (Unreachable if is_unknown else NotFound)(
            f"cannot find {pin.file!r} on any index that was asked: {looked}",
            hint=f"{'try again, ' if is_unknown else ''}lock again with --upgrade-package {pin.name},"
            " name an index that has it, or build with a folder that `taskimage vendor` filled while it was there",
        ) from lost


def _others(index: Index, known: Sequence[Index]) -> Iterator[Index]:
    """The indexes that may be asked instead, each address once, in the order of ``known``: the default is the last."""
    seen = {_address(index)}
    for other in known:
        if other.url is not None and _address(other) not in seen:
            seen.add(_address(other))
            yield other


def _address(index: Index) -> str:
    return (index.url or "").rstrip("/")


def _outcome(error: TaskImageError) -> str:
    """What came of asking an index, in few words."""
    if isinstance(error, IntegrityError):
        return "another file of that name"
    if isinstance(error, NotAllowed):
        return "not allowed"
    return "not there" if isinstance(error, NotFound) else "no answer of use"
