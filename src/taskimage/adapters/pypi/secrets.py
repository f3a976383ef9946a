"""Secret files of ``pip_secret_mounts``, read where they are: what they say becomes part of an environment.

flytekit mounts them while packages are installed, and leaves nothing of them in the image. Here no process is
given the files' text: a netrc is named to whoever asks an index, and the indexes of a pip.conf stand where uv's own
variables would name them, from which credentials go into headers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from taskimage.adapters.specfiles.checkedfile import open_regular
from taskimage.model.errors import BadInput
from taskimage.model.spec.secretkind import SecretKind

__all__ = ["with_secrets"]

_LIMIT = 1 << 20
_SECTIONS = ("global", "install")
_OPTIONS = frozenset({"index-url", "extra-index-url"})


def with_secrets(mounts: Sequence[tuple[Path, SecretKind]], environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with what the files of ``mounts`` add; they are more to the point than what is there.

    Raises NotFound, NotAllowed; BadInput for a file that cannot be read, without a word of it.
    """
    found = dict(environ)
    for path, kind in mounts:
        if kind is SecretKind.NETRC:
            with open_regular(path):
                found["NETRC"] = str(path.absolute())
        else:
            found |= _indexes(_options(path), found)
    return found


def _indexes(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    added = {}
    if index := options.get("index-url"):
        added["UV_DEFAULT_INDEX"] = index
    if extra := options.get("extra-index-url"):
        added["UV_EXTRA_INDEX_URL"] = " ".join(
            [*extra.split(), *environ.get("UV_EXTRA_INDEX_URL", "").split()]
        )
    return added


def _options(path: Path) -> dict[str, str]:
    """What a pip.conf says of indexes (pip, "Configuration files")."""
    import configparser

    with open_regular(path) as file:
        data = file.read(_LIMIT)
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(data.decode())
    except (configparser.Error, UnicodeDecodeError) as error:
        # The parser's own words quote the line, which may hold a password.
        raise BadInput(f"cannot read the pip.conf: {type(error).__name__}", where=str(path)) from None
    return {
        option: value
        for section in _SECTIONS
        if parser.has_section(section)
        for option, value in parser.items(section)
        if option in _OPTIONS
    }
