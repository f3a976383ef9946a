"""The end points of the distribution-spec v1.1, and which rights each of them needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from taskimage.testing.access import Access, Scope
from taskimage.testing.blobs import Blobs
from taskimage.testing.manifests import Manifests
from taskimage.testing.messages import Answer, Refusal, Request
from taskimage.testing.uploads import Uploads

__all__ = ["Endpoints"]

_Endpoint: TypeAlias = Callable[..., Answer]

_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_RIGHTS = {"GET": ("pull",), "HEAD": ("pull",), "DELETE": ("delete",)}


class Endpoints:
    """Answers requests."""

    def __init__(self, access: Access, *, manifests: Manifests, blobs: Blobs, uploads: Uploads) -> None:
        self._access = access
        # What stands in a path after the name of a repository, and what may be done there.
        table: dict[str, dict[str, _Endpoint]] = {
            "manifests/(?P<reference>[^/]+)": {
                "GET": manifests.get, "PUT": manifests.put, "DELETE": manifests.delete,
            },
            "blobs/(?P<digest>[^/]+)": {"GET": blobs.get, "DELETE": blobs.delete},
            "blobs/uploads/": {"POST": uploads.start},
            "blobs/uploads/(?P<number>[^/]+)": {
                "GET": uploads.status, "PATCH": uploads.append, "PUT": uploads.finish,
                "DELETE": uploads.cancel,
            },
            "tags/list": {"GET": manifests.list_tags},
            "referrers/(?P<digest>[^/]+)": {"GET": manifests.list_referrers},
        }  # fmt: skip
        self._table = {re.compile(f"/v2/(?P<name>.+)/{rest}"): methods for rest, methods in table.items()}

    def answer(self, request: Request) -> Answer:
        """What is done with ``request``, and said about it."""
        try:
            if request.path == "/token" and self._access.kind == "bearer":
                return self._access.token(request)
            return self._answer(request)
        except Refusal as refusal:
            return refusal.answer

    def _answer(self, request: Request) -> Answer:
        if request.path == "/v2/":
            self._access.check(request, [])
            return Answer.json({})
        for pattern, methods in self._table.items():
            if match := pattern.fullmatch(request.path):
                if not _NAME.fullmatch(match["name"]):
                    raise Refusal("NAME_INVALID", "invalid repository name")
                self._access.check(request, _rights(request, match["name"]))
                endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
                if endpoint is None:
                    raise Refusal("UNSUPPORTED", "The operation is unsupported.")
                return endpoint(request, **match.groupdict())
        return Answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")


def _rights(request: Request, name: str) -> Iterator[Scope]:
    yield Scope(name, frozenset(_RIGHTS.get(request.method, ("pull", "push"))))
    # A blob is mounted by those who may read it.
    if request.method == "POST" and "mount" in request.query and request.query.get("from"):
        yield Scope(request.query["from"], frozenset({"pull"}))
