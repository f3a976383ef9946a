"""Pages of the Simple repository API: JSON (PEP 691) and HTML (PEP 503), one list of files from either."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from taskimage.adapters.http import Answer, Http, redacted
from taskimage.adapters.pypi.indexes import Index
from taskimage.model.errors import Unreachable
from taskimage.model.value import dataclass

__all__ = ["File", "project_files", "read_page"]

# A project with thousands of releases has a page of a few megabytes.
_LIMIT = 64 << 20
_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"
_ACCEPT = {"Accept": f"{_JSON}, {_HTML};q=0.2, text/html;q=0.01", "Accept-Encoding": "gzip"}
_WHOLE = ("https://", "http://")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class File:
    """One file of a project; what the index does not tell is None.

    ``metadata_sha256`` is of the metadata that the index has beside the file (PEP 658); what was ``yanked`` is withdrawn
    (PEP 592).
    """

    name: str
    url: str
    sha256: str | None = None
    requires_python: str | None = None
    metadata_sha256: str | None = None
    yanked: bool = False


def project_files(http: Http, index: Index, project: str) -> tuple[File, ...]:
    """The files of ``project``, whose name is normalised, on an index whose address is known.

    Raises what `Http.read` raises; Unreachable when the answer is no page of a package index.
    """
    url = f"{(index.url or '').rstrip('/')}/{project}/"
    return read_page(http.read(url, limit=_LIMIT, headers={**_ACCEPT, **index.login(url)}))


def read_page(page: Answer) -> tuple[File, ...]:
    """The files that a page lists. Raises Unreachable when it is none, such as a proxy's login form."""
    try:
        if page.media_type == _JSON:
            return tuple(_from_json(page))
        if page.media_type in {_HTML, "text/html"}:
            return tuple(_from_html(page))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_index(page) from error
    raise _no_index(page)


def _no_index(page: Answer) -> Unreachable:
    return Unreachable(
        f"{redacted(page.url)} answered with {page.media_type or 'something'!r} that is no page of a package index",
        hint="look whether the address is right, and whether a proxy wants a login",
    )


def _from_json(page: Answer) -> Iterator[File]:
    document: dict[str, Any] = json.loads(page.body)
    if not str(document["meta"]["api-version"]).startswith("1."):
        raise ValueError("another major version")
    for file in document["files"]:
        metadata = file.get("core-metadata")
        yield _file(
            page.url,
            file["filename"],
            file["url"],
            file["hashes"].get("sha256"),
            file.get("requires-python"),
            metadata=metadata.get("sha256") if isinstance(metadata, dict) else None,
            yanked=bool(file.get("yanked")),
        )


def _from_html(page: Answer) -> Iterator[File]:
    reader = _Anchors()
    reader.feed(page.body.decode())
    reader.close()
    base = urljoin(page.url, reader.base)
    files = 0
    for attributes in reader.anchors:
        url, fragment = urldefrag(attributes.get("href") or "")
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        if not name.endswith((".whl", ".gz", ".zip", ".bz2", ".egg", ".exe", ".rpm", ".msi")):
            continue
        files += 1
        metadata = attributes.get("data-core-metadata") or ""
        requires_python = attributes.get("data-requires-python")
        yield _file(
            base, name, url, _of_sha256(fragment), requires_python,
            metadata=_of_sha256(metadata), yanked="data-yanked" in attributes,
        )  # fmt: skip
    if not files:
        raise ValueError("not one link to a file")


def _of_sha256(text: str) -> str | None:
    return text.removeprefix("sha256=") if text.startswith("sha256=") else None


def _file(
    base: str, name: str, url: str, sha256: str | None, requires_python: str | None, *,
    metadata: str | None, yanked: bool,
) -> File:  # fmt: skip
    # Pages have thousands of addresses, nearly all of them whole, and joining takes longer than all the rest.
    there = url if url.startswith(_WHOLE) else urljoin(base, url)
    if not there.startswith(_WHOLE) or "/" in name:
        raise ValueError(f"no address of a file: {url!r}")
    return File(name, there, _known(sha256), requires_python or None, _known(metadata), yanked)


def _known(sha256: str | None) -> str | None:
    return sha256.lower() if sha256 and _SHA256.match(sha256.lower()) else None


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.anchors: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.anchors.append(dict(attrs))
        elif tag == "base":
            self.base = self.base or dict(attrs).get("href") or ""
