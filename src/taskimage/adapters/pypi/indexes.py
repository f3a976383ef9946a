"""Package indexes: which ones are asked, in which order, and with whose credentials.

Honoured, as uv has them: ``UV_DEFAULT_INDEX`` (or ``UV_INDEX_URL``), ``UV_INDEX`` (``name=url`` too),
``UV_EXTRA_INDEX_URL``, ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD``, netrc, and the ``keyring`` program
when ``UV_KEYRING_PROVIDER=subprocess``. pip's own settings (``PIP_INDEX_URL``, ``pip.conf``) are not read.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from taskimage.adapters.http import redacted
from taskimage.adapters.http.network import basic, origin
from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.errors import BadInput
from taskimage.model.lock import WheelPin
from taskimage.model.value import dataclass

__all__ = ["DEFAULT", "DIRECT", "Index", "index_of_pin", "indexes", "scrubbed"]

# The alias of the machine's default index: a lock says no more about it, so that mirrors may differ.
DEFAULT = "pypi"


@dataclass(frozen=True, slots=True)
class Index:
    """An index under the name that locks have for it; ``url`` None is uv's own default."""

    alias: str
    url: str | None
    user: str = ""
    password: str = field(default="", repr=False)

    def login(self, url: str) -> dict[str, str]:
        """The header that ``url`` is asked with: this index's credentials, where it is of the same origin."""
        if self.user and self.url and origin(url) == origin(self.url):
            return basic(self.user, self.password)
        return {}

    def __str__(self) -> str:
        return f"{self.alias!r} at {urlsplit(self.url).netloc}" if self.url else repr(self.alias)


DIRECT: Final = Index("url", None)
"""In place of an index, for a wheel that is wanted by its address."""


def indexes(
    asked: Asked, environ: Mapping[str, str], *, default: str | None = None, found: Sequence[str] = ()
) -> tuple[Index, ...]:
    """The indexes to ask, in order; the default one is the last.

    A spec's own come before the environment's, and its ``pip_index``, else ``default``, stands in for the default.
    Aliases are by position (``pip_index``, ``pip_extra_index_url-1``, ``requirements-1`` for ``found`` in requirements
    files, ``extra-1``) or by the name that a project or ``UV_INDEX`` gives, never an address: some have tokens in the path.
    """
    extra_indexes = (*asked.extra_indexes, *asked.options.extra_indexes)
    extras = [
        *(_index(f"pip_extra_index_url-{n}", url, environ) for n, url in enumerate(extra_indexes, 1)),
        *_in_files(found, environ),
        *_from_environment(environ),
    ]
    if index := asked.index or asked.options.index or default:
        return (*extras, _index("pip_index", index, environ))
    of_machine = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    if not of_machine:
        return (*extras, Index(DEFAULT, None))
    name, url = _named(of_machine)
    return (*extras, _index(DEFAULT, url, environ, name=name))


def scrubbed(text: str, known: Sequence[Index]) -> str:
    """``text`` without any of the passwords, as they are and as addresses have them."""
    for index in known:
        for secret in {index.password, quote(index.password, safe="")} - {""}:
            text = text.replace(secret, "****")
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)


def _in_files(found: Sequence[str], environ: Mapping[str, str]) -> Iterator[Index]:
    for number, text in enumerate(found, 1):
        name, url = _named(text)
        yield _index(f"requirements-{name or number}", url, environ, name=name)


def _from_environment(environ: Mapping[str, str]) -> Iterator[Index]:
    listed = (*environ.get("UV_INDEX", "").split(), *environ.get("UV_EXTRA_INDEX_URL", "").split())
    for number, text in enumerate(listed, 1):
        name, url = _named(text)
        yield _index(name or f"extra-{number}", url, environ, name=name)


def _named(text: str) -> tuple[str, str]:
    """The name and the address of ``name=url``; no name when there is none."""
    match = re.fullmatch(r"(?:([A-Za-z0-9_.-]+)=)?(.*)", text.strip(), re.DOTALL)
    return (match[1] or "", match[2]) if match else ("", text)


def _index(alias: str, url: str, environ: Mapping[str, str], *, name: str = "") -> Index:
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - a property that raises
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        shown = redacted(url) if parts.scheme else url.rpartition("@")[2]
        raise BadInput(
            f"not the address of a package index: {shown!r}; wanted http:// or https://", where=alias
        )
    variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    user = unquote(parts.username or "") or (environ.get(f"{variable}_USERNAME", "") if name else "")
    password = unquote(parts.password or "") or (environ.get(f"{variable}_PASSWORD", "") if name else "")
    clean = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")).replace(
        " ", "%20"
    )
    if user and not password and environ.get("UV_KEYRING_PROVIDER") == "subprocess":
        password = _keyring(clean, user)
    return Index(alias, clean, user, password)


def _keyring(url: str, user: str) -> str:
    """The password that the ``keyring`` program has for the address, else for its host, as uv asks it."""
    for service in (url, urlsplit(url).netloc):
        try:
            got = subprocess.run(
                ["keyring", "get", service, user], capture_output=True, text=True, check=False, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if got.returncode == 0:
            return got.stdout.strip()
    return ""


def index_of_pin(pin: WheelPin, known: Sequence[Index]) -> Index:
    """The index that ``pin`` is from. Raises BadInput for one that is not known here."""
    by_alias = {at.alias: at for at in (DIRECT, *known)}
    if pin.index not in by_alias:
        raise BadInput(
            f"{pin.file!r} was locked from the index {pin.index!r}, which is not known here;"
            f" known are {', '.join(repr(at.alias) for at in known)}",
            hint=f"set UV_INDEX={pin.index}=https://…, or lock again",
        )
    return by_alias[pin.index]
