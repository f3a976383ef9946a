"""What maintainer scripts would have done, made as entries without running anything: one kind a module.

`emulation` puts them together. The scripts themselves are followed by `scripts`, with a small shell of its own.
"""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = 3
"""Moves whenever the same packages would give other entries: part of the key of what is derived from them."""
