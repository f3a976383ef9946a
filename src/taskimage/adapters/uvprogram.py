"""The program uv, which is installed beside us."""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["uv_program"]

# It asks `sysconfig`, which fills itself in at the first question, and answers another thread meanwhile with None.
_ASKING: Final = threading.Lock()


def uv_program() -> str:
    """Where it is. Raises FileNotFoundError."""
    from uv import find_uv_bin

    with _ASKING:
        return str(find_uv_bin())
