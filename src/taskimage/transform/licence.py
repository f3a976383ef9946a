"""The licence that a distribution's metadata states."""

from __future__ import annotations

from email.parser import BytesHeaderParser

__all__ = ["licence_of"]

_CLASSIFIER = "License :: "
_LONGEST = 60


def licence_of(metadata: bytes) -> str:
    """The licence by core metadata: its expression, else its classifiers, else a short text; "" for none.

    See the core metadata specifications, License-Expression (2.4), and License, which may be a whole text.
    """
    fields = BytesHeaderParser().parsebytes(metadata)
    expression = _line(fields.get("License-Expression"))
    stated = [_line(text) for text in fields.get_all("Classifier", [])]
    classified = [text.rpartition(" :: ")[2] for text in stated if text.startswith(_CLASSIFIER)]
    return expression or " and ".join(sorted(classified)) or _line(fields.get("License"))


def _line(value: object) -> str:
    """``value`` where it is one short line that is fit to be shown."""
    text = str(value or "").strip()
    return text if text.isprintable() and len(text) <= _LONGEST else ""
