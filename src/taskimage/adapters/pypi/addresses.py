"""Where the file of a pin is: a lock has no address, so that mirrors may differ.

What a resolution saw is remembered in the store; elsewhere the page of the project is asked, once for all of
its files. An address with a query or a user in it may hold a secret, and is not remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from taskimage.adapters.http import Http
from taskimage.adapters.pypi.chosen import Chosen
from taskimage.adapters.pypi.indexes import Index
from taskimage.adapters.pypi.simple import project_files
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotFound
from taskimage.model.lock import WheelPin

__all__ = ["located", "look_up", "recall", "remember"]

_KIND = "urls"


def remember(store: Store, wheel: Chosen) -> None:
    """Keep where ``wheel`` is, as its index told."""
    parts = urlsplit(wheel.url)
    key, told = _key(wheel.index, wheel.digest), {"url": wheel.url}
    # Most are where they were, and a record is read much sooner than it is written.
    if not parts.query and not parts.username and store.record(_KIND, key) != told:
        store.keep_record(_KIND, key, told)


def recall(store: Store, index: Index, pin: WheelPin) -> str | None:
    """Where the same index said that the file of ``pin`` is."""
    record = store.record(_KIND, _key(index, pin.digest))
    return str(record["url"]) if record else None


def located(http: Http, wheels: Sequence[Chosen], addresses: Mapping[str, str]) -> list[Chosen]:
    """``wheels`` with their addresses: of ``addresses`` by sha256, else as their indexes say. Raises as `look_up` does."""
    told = [replace(wheel, url=addresses.get(wheel.digest.hex, "")) for wheel in wheels]
    urls = look_up(http, [(wheel.pin(0), wheel.index) for wheel in told if not wheel.url])
    return [replace(wheel, url=wheel.url or urls[wheel.digest]) for wheel in told]


def look_up(http: Http, pins: Sequence[tuple[WheelPin, Index]]) -> Mapping[Digest, str]:
    """Where the pages of the projects say that the files are.

    Raises NotFound for a file that its index no longer has, IntegrityError when it has other bytes.
    """
    projects: dict[tuple[str, str], list[tuple[WheelPin, Index]]] = {}
    for pin, index in pins:
        if index.url is None:
            raise NotFound(f"nothing says where {pin.file!r} is", hint="lock again")
        projects.setdefault((index.alias, pin.name), []).append((pin, index))
    found: dict[Digest, str] = {}

    def ask(wanted: list[tuple[WheelPin, Index]]) -> None:
        name, index = wanted[0][0].name, wanted[0][1]
        elsewhere = f"lock again with --upgrade-package {name}, or name an index that has it"
        try:
            files = {file.name: file for file in project_files(http, index, name)}
        except NotFound as error:
            error.hint = elsewhere
            raise
        for pin, _ in wanted:
            file = files.get(pin.file)
            if file is None:
                raise NotFound(f"{pin.file!r} is not on the index {index}", hint=elsewhere)
            if file.sha256 is not None and file.sha256 != pin.digest.hex:
                raise IntegrityError(
                    f"the index {index} has {pin.file!r} with sha256 {file.sha256}, wanted {pin.digest.hex}",
                    hint="find out why the file has changed before it is locked again",
                )
            found[pin.digest] = file.url

    http.each(ask, projects.values())
    return found


def _key(index: Index, digest: Digest) -> Digest:
    return Digest.of(f"{index.url}\n{digest}".encode())
