"""Requires-Python of what was chosen, upper bounds included: uv looks at lower bounds alone.

The bound is read from the metadata beside a wheel on its index (PEP 658), a few kilobytes; where there is
none, from the project's page (PEP 503, ``data-requires-python``); where that never tells, from the wheel.
What was read once is kept. Where wheels are going to be read anyway, they say it themselves, and no index is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit, urlunsplit

from taskimage.adapters.http import Http
from taskimage.adapters.pypi.chosen import Chosen
from taskimage.adapters.pypi.simple import project_files
from taskimage.adapters.pypi.target import Target
from taskimage.adapters.store import Store
from taskimage.model.errors import CannotBuild, IntegrityError, NotAllowed, NotFound, Unreachable

__all__ = ["check_allowed", "check_python"]

_LIMIT = 4 << 20
_KIND = "requires-python"
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


def check_python(http: Http, store: Store, wheels: Sequence[Chosen], target: Target) -> None:
    """Nothing, when every wheel allows the target's Python. Raises CannotBuild with each that does not."""
    found: list[tuple[str, str, str]] = []

    def read(wheel: Chosen) -> None:
        found.append((wheel.name, str(wheel.version), _requires_python(http, store, wheel)))

    http.each(read, wheels)
    check_allowed(found, target.python)


def check_allowed(bounds: Iterable[tuple[str, str, str]], python: str) -> None:
    """Nothing, when all ``bounds`` (name, version, Requires-Python) allow ``python``. Raises CannotBuild."""
    refused = sorted(
        f"{name} {version} wants Python {bound}"
        for name, version, bound in bounds
        if bound and not _allows(bound, python)
    )
    if refused:
        raise CannotBuild(
            f"{'; '.join(refused)}; the image has Python {python}",
            hint="set another python_version, or ask for a version of the package that allows this one",
        )


def _allows(bound: str, python: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(bound).contains(python, prereleases=True)
    except InvalidSpecifier:
        # Written before PEP 440 was enforced; installers let it pass too.
        return True


def _requires_python(http: Http, store: Store, wheel: Chosen) -> str:
    """The bound of ``wheel``, empty when it has none."""
    if record := store.record(_KIND, wheel.digest):
        return str(record["requires_python"])
    bound = None
    if wheel.sdist is None:  # what was built here is nowhere else
        bound = _beside(http, wheel)
        if bound is None:
            bound = _on_page(http, wheel)
    if bound is None:
        bound = _inside(http, store, wheel)
    store.keep_record(_KIND, wheel.digest, {"requires_python": bound})
    return bound


def _beside(http: Http, wheel: Chosen) -> str | None:
    parts = urlsplit(wheel.url)
    url = urlunsplit(parts._replace(path=f"{parts.path}.metadata"))
    try:
        return _header(http.get(url, limit=_LIMIT, headers=wheel.index.login(url)))
    except (NotFound, NotAllowed, Unreachable):
        return None


def _on_page(http: Http, wheel: Chosen) -> str | None:
    if wheel.index.url is None:
        return None
    files = project_files(http, wheel.index, wheel.name)
    if not any(file.requires_python for file in files):
        return None
    return next((file.requires_python for file in files if file.name == wheel.file), None) or ""


def _inside(http: Http, store: Store, wheel: Chosen) -> str:
    import zipfile

    http.fetch(store, [wheel.fetch()], moved=lambda _: None)
    try:
        with zipfile.ZipFile(store.input_path(wheel.digest)) as archive:
            name = next(name for name in archive.namelist() if _METADATA.fullmatch(name))
            with archive.open(name) as file:
                return _header(file.read(_LIMIT)) or ""
    except (zipfile.BadZipFile, StopIteration, NotImplementedError, RuntimeError, OSError) as error:
        raise IntegrityError("not a wheel that can be read", where=wheel.file) from error


def _header(metadata: bytes) -> str | None:
    """Requires-Python of core metadata, empty when it has none; None for what is no metadata."""
    from email.parser import BytesHeaderParser

    header = BytesHeaderParser().parsebytes(metadata)
    return str(header["Requires-Python"] or "") if "Metadata-Version" in header else None
