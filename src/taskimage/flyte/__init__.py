"""Inside Flyte: the image builder that flytekit finds by its entry point, and values that cross over both ways."""

from __future__ import annotations

TYPE_CHECKING = (
    False  # spelled out, because `typing` costs milliseconds, and every `import flytekit` imports this
)
if TYPE_CHECKING:
    from typing import Any

    from taskimage.flyte.conversions import from_flytekit, to_flytekit

__all__ = ["from_flytekit", "to_flytekit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from taskimage.flyte import conversions

    return getattr(conversions, name)


def __dir__() -> list[str]:
    return sorted(__all__)
