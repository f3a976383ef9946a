"""Base images: what must be known of their files, read from their layers (image-spec, layer.md).

`read_base` gives the files, `facts_of` the record that is kept of them, and `uninstalled` what takes away some.
"""

from __future__ import annotations

from taskimage.transform.base.facts import facts_of
from taskimage.transform.base.layers import BaseLayer, BaseTree, read_base
from taskimage.transform.base.uninstalled import uninstalled

__all__ = ["BaseLayer", "BaseTree", "facts_of", "read_base", "uninstalled"]
