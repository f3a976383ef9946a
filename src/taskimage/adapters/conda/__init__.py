"""Conda channels: py-rattler solves an environment, and its packages are fetched by digest.

Nothing signs a channel: what it lists is believed for its address's sake (https), and its digests go into the
lock; from then on only those bytes are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from taskimage.adapters.conda.channels import Channel, channels
from taskimage.adapters.conda.solver import default_root, is_of_python, pin_of, solve, subdir_of
from taskimage.adapters.http import Fetch, Http
from taskimage.adapters.store import Store
from taskimage.model.errors import BadInput, NotFound, Unreachable
from taskimage.model.lock import CondaPin
from taskimage.model.oci import Platform
from taskimage.model.value import dataclass

__all__ = ["Conda", "Solution"]

_CUDA = "CONDA_OVERRIDE_CUDA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """An environment: all of its packages, sorted, and those of them that bring something for its Python."""

    packages: tuple[CondaPin, ...]
    of_python: tuple[CondaPin, ...]

    @property
    def python(self) -> CondaPin:
        """Python itself."""
        return next(pin for pin in self.packages if pin.name == "python")


class Conda:
    """Solves environments, and fetches their packages into ``store``.

    Args:
        store: Where packages, and what channels list, are kept.
        http: The connections that packages come by.
        environ: Where CONDA_CHANNEL_ALIAS is looked for, and CONDA_OVERRIDE_CUDA: the version of CUDA that
            packages may count on, without which those for processors alone are chosen.
        offline: Solve nothing.
    """

    def __init__(
        self, store: Store, http: Http, *, environ: Mapping[str, str] | None = None, offline: bool = False
    ) -> None:
        self._store = store
        self._http = http
        self._environ = os.environ if environ is None else environ
        self._offline = offline

    def resolve(
        self,
        packages: Sequence[str],
        *,
        channels: Sequence[str],
        python: str,
        platform: Platform,
        glibc: tuple[int, int],
        keep: Sequence[CondaPin] = (),
    ) -> Solution:
        """The environment that has ``packages``, match specifications, and the version ``python`` of Python.

        ``keep`` are packages that are preferred where they serve.

        Raises CannotBuild where there is none, or py-rattler is missing; BadInput for what is no match
        specification; Unreachable when a channel does not answer.
        """
        subdir_of(platform)
        if self._offline:
            raise Unreachable(
                "conda packages are not solved offline", hint="lock with `taskimage lock` while online"
            )
        known = self._channels(channels)
        with self._cache(known) as cache:
            solved = solve(
                [*packages, f"python={python}"],
                known,
                platform=platform,
                glibc=glibc,
                cuda=self._environ.get(_CUDA),
                cache=cache,
                keep=keep,
            )
        return Solution(
            packages=tuple(sorted(pin_of(*one) for one in solved)),
            of_python=tuple(sorted(pin_of(*one) for one in solved if is_of_python(one[0]))),
        )

    def fetch(
        self, pins: Iterable[CondaPin], *, channels: Sequence[str], moved: Callable[[int], None]
    ) -> None:
        """Every package of ``pins`` is in the store's inputs. Raises what fetching raises, and BadInput."""
        by_alias = {channel.alias: channel for channel in self._channels(channels)}
        wanted: list[Fetch] = []
        for pin in pins:
            if pin.channel not in by_alias:
                raise BadInput(
                    f"{pin.file!r} was locked from the channel {pin.channel!r}, which is not known here;"
                    f" known are {', '.join(map(repr, by_alias))}",
                    hint="lock again",
                )
            url = f"{by_alias[pin.channel].url}/{pin.subdir}/{pin.file}"
            if url.startswith("file:"):
                self._copy(pin, url, moved)
            else:
                wanted.append(Fetch((url,), pin.digest, pin.size, f"{pin.name} {pin.version}"))
        self._http.fetch(self._store, wanted, moved=moved)

    def _copy(self, pin: CondaPin, url: str, moved: Callable[[int], None]) -> None:
        path = Path(unquote(urlsplit(url).path))
        if self._store.input_path(pin.digest).exists():
            return
        try:
            with (
                path.open("rb") as file,
                self._store.pending_input(pin.digest, pin.size, where=str(path)) as pending,
            ):
                while data := file.read(1 << 20):
                    pending.write(data)
                    moved(len(data))
        except FileNotFoundError as error:
            raise NotFound(f"the channel {pin.channel!r} has no {str(path)!r}") from error

    @contextmanager
    def _cache(self, known: Sequence[Channel]) -> Iterator[Path]:
        """Where py-rattler keeps what channels list, with their addresses: none of them may have a secret."""
        if any(channel.has_secret for channel in known):
            with self._store.temporary_directory() as name:
                yield Path(name)
        else:
            folder = self._store.home / "conda"
            folder.mkdir(parents=True, exist_ok=True)
            yield folder

    def _channels(self, wanted: Sequence[str]) -> tuple[Channel, ...]:
        """The channels with their addresses."""
        known = channels(wanted, self._environ)
        if all(channel.url for channel in known):
            return known
        root = default_root()
        return tuple(
            channel if channel.url else replace(channel, url=f"{root}/{channel.alias}") for channel in known
        )
