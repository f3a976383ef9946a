"""uv's own default index, which its help names: asked for early, since most of what resolves is imported meanwhile."""

from __future__ import annotations

import re
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from taskimage.adapters.uvprogram import uv_program

if TYPE_CHECKING:
    from taskimage.adapters.pypi.resolver import Uv

__all__ = ["DefaultIndex"]

_IN_HELP: Final = re.compile(r"--default-index <\S*>\s+[^<>]*\(by\s+default:\s+<(https?://[^\s<>]+)>\)")


class DefaultIndex:
    """The address of the index that uv takes where none is named. Safe to share between threads."""

    def __init__(self) -> None:
        self._address = ""
        self._asking = threading.Lock()

    def look(self) -> None:
        """Whoever asks next waits for uv's help, if for anything."""
        with self._asking:
            self._address = self._address or _in_help()

    def address(self, uv: Uv) -> str:
        """The address; raises CannotBuild where uv does not tell it."""
        self.look()
        with self._asking:
            self._address = self._address or uv.default_index()
            return self._address


def _in_help() -> str:
    """What the help says, which is there at once; for any output uv first runs the interpreter, to know what it is."""
    try:
        command = [uv_program(), "pip", "compile", "--color", "never", "--help"]
        said = subprocess.run(command, capture_output=True, check=False).stdout
    except OSError:
        return ""  # whoever needs uv tells why it does not run
    match = _IN_HELP.search(said.decode(errors="replace"))
    return match[1] if match else ""
