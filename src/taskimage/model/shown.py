"""Values as error messages show them: whatever was given, of any size."""

from __future__ import annotations

import re

__all__ = ["ending", "last_lines", "shown"]

# The part of a URL before its host (RFC 3986, 3.2.1), which may hold a password.
_USERINFO = re.compile(r"//[^/@\s]*@")


def shown(value: object, *, longest: int = 200) -> str:
    """The ``repr`` of ``value`` in ``longest`` characters, without what may be a password in a URL.

    >>> shown("app:v1"), shown("https://user:secret@example.org")
    ("'app:v1'", "'https://…@example.org'")

    What has no ``repr``, such as a number of too many digits, is shown by its type.
    """
    try:
        text = _USERINFO.sub("//…@", repr(value))
    except Exception:  # noqa: BLE001 - too many digits, nested too deeply, or a class's own mistake
        return f"<{type(value).__name__}>"
    return text if len(text) <= longest else text[: longest - 1] + "…"


def last_lines(said: str, *, most: int = 20) -> list[str]:
    r"""The last lines of what a program ``said``, without what would drive a terminal.

    >>> last_lines("a\x1b[2J\nb", most=1)
    ['b']
    """
    text = "".join(character for character in said if character.isprintable() or character in "\n\t")
    return text.splitlines()[-most:]


def ending(message: str, said: str) -> str:
    """``message``, and below it how what a program ``said`` ends."""
    lines = last_lines(said)
    return "\n  ".join([message + (". Its last lines:" if lines else ""), *lines])
