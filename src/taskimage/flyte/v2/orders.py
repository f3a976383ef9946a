"""A recipe -> what `build_ordered` is given: a spec and its files for each stage, one on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from taskimage.adapters.specfiles import LoadedSpec, SpecFiles, host_machine
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.flyte.v2.naming import Name
from taskimage.flyte.v2.recipe import HOME, Installing, Recipe, Stage
from taskimage.model.errors import CannotBuild
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import unserved
from taskimage.model.spec.tag import FileDigests, image_name, spec_tag
from taskimage.model.user import User
from taskimage.transform.runtime import Conventions
from taskimage.transform.source import SourceTree, merge, tree_digest
from taskimage.verbs.prepare import Order

__all__ = ["ordered"]

_USER: Final = User(name="flyte", uid=1000, gid=0, home=HOME)
# What stands between is tagged by what it is made of.
_BETWEEN: Final = "flyte-{spec_hash}"


def ordered(recipe: Recipe, *, name: Name, platforms: Sequence[str]) -> Order:
    """The order of the image ``name``, by which tasks know it, and of the stages below it.

    Raises CannotBuild for options that have no meaning here, InvalidSpec for values that make no sense.
    """
    below: Order | None = None
    for number, stage in enumerate(recipe.stages, start=1):
        is_last = number == len(recipe.stages)
        # Variables go into the last image alone: one that extends itself (PATH) does so once.
        env = stage.env if is_last else {}
        spec = _spec(stage, recipe, name=name.path, env=env, platforms=platforms, below=below)
        files, digests = _files(stage, below)
        below = Order(
            loaded=LoadedSpec(spec=spec, registry=name.registry),
            files=files,
            lock=None,
            tag=name.tag if is_last else spec_tag(spec, digests, machine=host_machine()),
            tag_was_asked_for=False,
            base=below,
            is_base=not is_last,
            image_id=str(name) if is_last else spec.id,
            conventions=Conventions(user=_USER, workdir=stage.workdir),
            command_env=stage.command_env if stage.commands else None,
        )
    if below is None:
        raise AssertionError("a recipe has a stage")
    _check_served(below.loaded.spec)
    return below


def _check_served(spec: ImageSpec) -> None:
    if lines := unserved(spec):
        # The options have the name there that users of flyte know.
        raise CannotBuild("\n".join(lines).replace("pip_extra_args", "extra_args"))


def _spec(
    stage: Stage,
    recipe: Recipe,
    *,
    name: str,
    env: Mapping[str, str],
    platforms: Sequence[str],
    below: Order | None,
) -> ImageSpec:
    how = stage.installing or Installing()
    return ImageSpec(
        name=name,
        python_version=recipe.python,
        env=dict(env),
        packages=stage.packages or None,
        # Its name says of which kind it is; what is in it comes with the order.
        requirements=PurePath(stage.requirements[0][0].name).name if stage.requirements else None,
        apt_packages=stage.apt or None,
        base_image=below.loaded.spec if below else recipe.base,
        platform=",".join(platforms),
        pip_index=how.index,
        pip_extra_index_url=how.extra_indexes or None,
        pip_extra_args=how.words or None,
        commands=stage.commands or None,
        tag_format=_BETWEEN,
        builder_options={"taskimage": {"runtime": "none", **({"network": True} if stage.commands else {})}},
    )


def _files(stage: Stage, below: Order | None) -> tuple[SpecFiles, FileDigests]:
    requirements = _together(stage.requirements)
    source = merge(stage.files, root="") if stage.files else SourceTree()
    data = b"\0".join(file.data for file in requirements)
    digests = FileDigests(
        requirements=hashlib.sha1(data, usedforsecurity=False).hexdigest() if requirements else None,
        copy=tree_digest(source).hex if stage.files else None,
        base_image=image_name(below.loaded.spec, below.tag) if below else None,
    )
    return SpecFiles(requirements=requirements, source=source, digests=digests), digests


def _together(named: Sequence[tuple[RequirementsFile, ...]]) -> tuple[RequirementsFile, ...]:
    """The files of one or several layers; of several, below a first one that includes the first of each."""
    if len(named) < 2:
        return named[0] if named else ()
    lines = "".join(f"-r {files[0].path}\n" for files in named)
    first = RequirementsFile(name="requirements", path=Path("requirements").absolute(), data=lines.encode())
    return (first, *(file for files in named for file in files))
