"""What a conda package says about itself: ``info/index.json``, ``info/paths.json`` and ``info/link.json``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from taskimage.model.errors import BadInput, CannotBuild, IntegrityError
from taskimage.model.oci.document import Fields, parse_json
from taskimage.model.value import dataclass
from taskimage.transform.conda.archive import CondaArchive
from taskimage.transform.entry import safe_path

__all__ = ["CondaFacts", "PathFacts", "about", "paths"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaFacts:
    """The package's name, version and build; ``is_python`` says that it is for any Python, and has its layout."""

    name: str
    version: str
    build: str
    build_number: int
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    license: str
    noarch: str
    entry_points: tuple[str, ...]

    @property
    def is_python(self) -> bool:
        """Whether its modules and commands are put where the environment's Python has them."""
        return self.noarch == "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """A path that is linked; ``placeholder`` is what stands in its bytes for the prefix, ``""`` for nothing."""

    path: str
    placeholder: str
    is_binary: bool


def about(archive: CondaArchive, *, where: str) -> CondaFacts:
    """What the package is. Raises IntegrityError, naming ``where`` and the field that is wrong."""
    with _told(where):
        index = _document(archive, "info/index.json", where)
        noarch = str(index.rest().get("noarch") or "")
        return CondaFacts(
            name=index.text("name"),
            version=index.text("version"),
            build=index.text("build"),
            build_number=index.whole("build_number"),
            depends=index.texts("depends"),
            constrains=index.texts("constrains"),
            license=index.optional_text("license") or "",
            # Before there was a kind for Python, it was true or false.
            noarch="generic" if noarch == "True" else noarch,
            entry_points=_entry_points(archive, where) if noarch == "python" else (),
        )


def paths(archive: CondaArchive, *, where: str) -> Iterator[PathFacts]:
    """What the package has linked, and nothing else of its archive. Raises IntegrityError and CannotBuild."""
    if "info/paths.json" not in archive.members:
        raise CannotBuild(
            "has no info/paths.json, as packages from before 2017",
            where=where,
            hint="ask for a newer build of it",
        )
    with _told(where):
        document = _document(archive, "info/paths.json", where)
        document.expect("paths_version", 1)
        for fields in document.sections("paths"):
            path = safe_path(fields.text("_path"), where=where)
            if not path or path.split("/")[0] in ("info", "conda-meta"):
                raise IntegrityError(f"has {path!r:.200} linked, which is not its own", where=where)
            placeholder = fields.optional_text("prefix_placeholder") or ""
            if placeholder:
                fields.expect("file_mode", "text", "binary")
            yield PathFacts(
                path=path,
                placeholder=placeholder,
                is_binary=fields.optional_text("file_mode") == "binary",
            )


def _entry_points(archive: CondaArchive, where: str) -> tuple[str, ...]:
    if "info/link.json" not in archive.members:
        return ()
    noarch = _document(archive, "info/link.json", where).optional_section("noarch")
    return noarch.texts("entry_points") if noarch else ()


def _document(archive: CondaArchive, path: str, where: str) -> Fields:
    text = archive.read(path, where=where)
    if text is None:
        raise IntegrityError(f"has no {path!r}", where=where)
    return Fields(parse_json(text, where=path), path)


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """In the block, what is wrong with a document is an error about the package ``where``."""
    try:
        yield
    except BadInput as error:
        raise IntegrityError(
            f"contradicts the package specification: {error.message}", where=where
        ) from error
