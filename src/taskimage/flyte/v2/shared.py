"""What all images of one process share: adapters with what they have read, and where images go that do not say."""

from __future__ import annotations

from functools import cache

from taskimage.flyte.v2.listener import Teller
from taskimage.verbs.tools import Tools

__all__ = ["default_registry", "shared_tools", "tell"]

tell = Teller()


@cache
def shared_tools() -> Tools:
    """The adapters, by the settings of this process when the first image is asked for."""
    from taskimage.adapters.settings import Settings

    return Tools(Settings.load(), tell)


def default_registry() -> str | None:
    """Where an image goes that names no registry: what flyte's configuration says, else our settings.

    flyte gives images a registry when they are made, which may be before it has read its configuration; its own
    builders ask again, and leave it to others to do so.
    """
    try:
        from flyte._image import _get_push_registry
    except ImportError:  # flyte 2.0 has none in its configuration
        return shared_tools().settings.registry
    configured: str | None = _get_push_registry()
    return configured or shared_tools().settings.registry
