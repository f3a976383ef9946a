"""Which command of flytekit runs, as far as it decides what is done with an image."""

from __future__ import annotations

from typing import Any

__all__ = ["is_local", "root_filled_in"]


def is_local() -> bool:
    """Whether images are wanted on this machine alone: by ``pyflyte build``, and by ``pyflyte run`` without ``--remote``.

    Everything else may register a task: ``package``, ``register``, ``serialize``, ``run --remote``, which serializes
    in another thread, and programs that use flytekit's classes.
    """
    context = _subcommand()
    if context is None:
        return False
    return context.info_name == "build" or (context.info_name == "run" and not context.params.get("remote"))


def root_filled_in() -> str | None:
    """The folder that flytekit writes into specs as their ``source_root`` before it asks for their images, if it does.

    It does so for a registration that is not fast; a task that runs has the spec as its author wrote it.
    """
    from flytekit import FlyteContextManager

    settings = FlyteContextManager.current_context().serialization_settings
    root = settings.source_root if settings is not None else None
    if root is None and (context := _subcommand()) is not None:
        root = getattr(getattr(context.obj, "computed_params", None), "project_root", None)
    return None if root is None else str(root)


def _subcommand() -> Any:
    """The context (click's) of the command below ``pyflyte`` that this thread runs; None where there is none."""
    import click

    context = click.get_current_context(silent=True)
    while context is not None and context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return context if context is not None and context.parent is not None else None
