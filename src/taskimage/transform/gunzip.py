"""Reading gzip (RFC 1952), of however many members, with `isal`."""

from __future__ import annotations

from typing import BinaryIO, cast

__all__ = ["gzip_errors", "open_gzip"]


def open_gzip(stream: BinaryIO) -> BinaryIO:
    """What ``stream`` holds, inflated; concatenated members are one stream (section 2.2)."""
    from isal import igzip

    return cast("BinaryIO", igzip.open(stream, "rb"))  # type: ignore[no-untyped-call]


def gzip_errors() -> tuple[type[Exception], ...]:
    """What reading raises when the data is damaged, cut short, or no gzip at all."""
    from isal import igzip, igzip_lib

    # Its stub states an error where there is a class of them.
    return EOFError, igzip.BadGzipFile, cast("type[Exception]", igzip_lib.IsalError)
