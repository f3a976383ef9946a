"""What flytekit calls the image of a spec: here, and where a task runs, which is not always the same."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from taskimage.flyte.command import root_filled_in
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from flytekit.image_spec.image_spec import ImageSpec as FlytekitSpec

__all__ = ["Names", "names_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one image.

    Attributes:
        tag: What flytekit computes now.
        name: ``[registry/]name:tag``.
        task_tag: What it computes where a task runs. There no base image has been built: it is named by its tag, and
            here by its digest.
        task_name: The name with that tag.
        written: The spec as its author wrote it, as a task has it.
    """

    tag: str
    name: str
    task_tag: str
    task_name: str
    written: FlytekitSpec

    @property
    def image_id(self) -> str:
        """The id by which a task knows that it runs in this image (``_F_IMG_ID``, ``ImageSpec.is_container``)."""
        return str(self.written.id)


def names_of(theirs: FlytekitSpec, *, base: Names | None) -> Names:
    """The names of the image of ``theirs``; ``base`` are those of the image that its base image was a spec of."""
    tag = task_tag = str(theirs.tag)
    if base is not None:
        task_tag = str(dataclasses.replace(theirs, base_image=base.task_name).tag)
    return Names(
        tag=tag,
        name=_name(theirs, tag),
        task_tag=task_tag,
        task_name=_name(theirs, task_tag),
        written=_written(theirs, base),
    )


def _name(theirs: FlytekitSpec, tag: str) -> str:
    # `theirs.image_name()` is the digest where the image has been built.
    return f"{theirs.registry}/{theirs.name}:{tag}" if theirs.registry else f"{theirs.name}:{tag}"


def _written(theirs: FlytekitSpec, base: Names | None) -> FlytekitSpec:
    """The spec without what flytekit has put into it on the way here (``update_image_spec_copy_handling``, ``build``)."""
    from flytekit.constants import CopyFileDetection

    before: dict[str, Any] = {}
    if base is not None:
        before["base_image"] = base.written
    if theirs.source_root is not None and str(theirs.source_root) == root_filled_in():
        before["source_root"] = None
        if theirs.source_copy_mode == CopyFileDetection.LOADED_MODULES:
            before["source_copy_mode"] = None
    return dataclasses.replace(theirs, **before)
