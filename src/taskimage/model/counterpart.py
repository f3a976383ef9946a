"""`Counterpart`: by which flytekit can be told, before any of our values is imported, which of them it may take."""

from __future__ import annotations

__all__ = ["Counterpart"]


class Counterpart:
    """A value with the fields and methods of flytekit's class of its name.

    flytekit's class is an abstract one, with which this one is registered (``abc.ABCMeta.register``).
    """

    __slots__ = ()
