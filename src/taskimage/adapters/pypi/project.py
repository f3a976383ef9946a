"""What a ``pyproject.toml`` asks for (PyPA, pyproject.toml specification), with no lock beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from taskimage.adapters.pypi.locks.parts import Parts
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile, read_toml
from taskimage.model.errors import BadInput, CannotBuild
from taskimage.model.spec.installoptions import InstallOptions

__all__ = ["project_requirements"]

_Table = Mapping[str, Any]


def project_requirements(file: RequirementsFile, options: InstallOptions) -> Iterator[tuple[str, str]]:
    """Each requirement of the project's ``dependencies``, and of the extras and groups that ``options`` name.

    A requirement comes with the table that has it. Raises BadInput for a project that cannot be read,
    CannotBuild for one whose requirements are elsewhere.
    """
    document = read_toml(file)
    project = document.get("project", {})
    _check(document, project, file.name)
    optional, groups = project.get("optional-dependencies", {}), document.get("dependency-groups", {})
    parts = Parts(extras=optional, groups=groups, default_groups=(), where=file.name)
    extras, chosen = parts.chosen(options)
    sources = document.get("tool", {}).get("uv", {}).get("sources", {})
    for where, text in _texts(document, options, extras, chosen):
        _check_source(text, sources, f"{file.name}: {where}")
        yield f"{file.name}: {where}", text


def _check(document: _Table, project: _Table, name: str) -> None:
    tool = document.get("tool", {})
    if "dependencies" in project.get("dynamic", ()):
        raise CannotBuild(
            "the project's dependencies are dynamic: its build system alone knows them", where=name,
            hint="lock the project, and name the lock in requirements",
        )  # fmt: skip
    if "poetry" in tool and "dependencies" not in project:
        raise CannotBuild(
            "the project has its dependencies in tool.poetry, in poetry's own words", where=name,
            hint="run `poetry lock`, and name poetry.lock in requirements",
        )  # fmt: skip
    if not project and "dependency-groups" not in document:
        raise BadInput("it has no [project] table", where=name)


def _texts(
    document: _Table, options: InstallOptions, extras: Collection[str], groups: Collection[str]
) -> Iterator[tuple[str, str]]:
    project = document.get("project", {})
    optional = project.get("optional-dependencies", {})
    if not options.only_groups:
        yield from (("dependencies", text) for text in project.get("dependencies", ()))
    waiting, seen = sorted(extras), set(extras)
    for extra in waiting:
        for text in optional.get(extra, ()):
            # A project may name extras of its own in another: PROJECT[one,two].
            if named := _own_extras(text, project.get("name", "")):
                waiting += [one for one in sorted(named) if one not in seen]
                seen |= named
            else:
                yield f"optional-dependencies.{extra}", text
    if groups:
        from packaging.dependency_groups import resolve_dependency_groups

        for group in sorted(groups):
            for text in resolve_dependency_groups(document["dependency-groups"], group):
                yield f"dependency-groups.{group}", text


def _own_extras(text: str, name: str) -> set[str]:
    """The extras that ``text`` names of the project itself; none when it is of another."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return set()
    return requirement.extras if canonicalize_name(requirement.name) == canonicalize_name(name) else set()


def _check_source(text: str, sources: _Table, where: str) -> None:
    from packaging.utils import canonicalize_name

    name = text.strip()
    for source in sources:
        if canonicalize_name(name).startswith(canonicalize_name(source)):
            rest = name[len(source) : len(source) + 1]
            if not rest or not (rest.isalnum() or rest in "-_."):
                raise CannotBuild(
                    f"{source!r} has a source of its own in tool.uv.sources", where=where,
                    hint="run `uv lock`, and name uv.lock in requirements",
                )  # fmt: skip
