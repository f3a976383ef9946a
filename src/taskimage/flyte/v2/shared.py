"""What all images of one process share: settings, and adapters with what they have read."""

from __future__ import annotations

from functools import cache

from taskimage.flyte.v2.listener import Teller
from taskimage.verbs.tools import Tools

__all__ = ["shared_tools", "tell"]

tell = Teller()


@cache
def shared_tools() -> Tools:
    """The adapters, by the settings of this process when the first image is asked for."""
    from taskimage.adapters.settings import Settings

    return Tools(Settings.load(), tell)
