"""What an answer that is no answer means: which family of error, and what to do (distribution-spec, "Error Codes").

Only a registry's own 404 says that something is not there. A page of a proxy, or of a host that is no registry,
says nothing about images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Final

from taskimage.adapters.http.answers import PASSING, Transient, passing
from taskimage.model.errors import BadInput, IntegrityError, NotAllowed, NotFound, TaskImageError, Unreachable
from taskimage.model.value import dataclass

__all__ = ["BlobUnknown", "Refusal"]

_LONGEST: Final = 300
_ECR: Final = ".dkr.ecr."
_KEPT: Final = re.compile(r"TAG_INVALID|already exists|immutable|overwrit|locked|protected", re.IGNORECASE)
_MISSING: Final = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
_PROXY: Final = "the proxy wants credentials: HTTPS_PROXY=http://user:password@host:port"
_TOO_LARGE: Final = "have whoever runs the registry, or a proxy before it, take larger requests"


class BlobUnknown(NotFound):
    """A manifest was not taken because the registry lacks something that it names: upload that, and try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer with a status that nobody wanted.

    Attributes:
        registry: The registry's name.
        repository: What the request was about, "" for none.
        doing: What it was for, as in "cannot …".
        asked: The request, for people.
        status: The answer's.
        media_type: The body's.
        by_registry: Whether a header says that a registry answers.
        body: Its beginning.
        after: Seconds to wait before asking again.
        tried: Tells where credentials were looked for.
    """

    registry: str
    repository: str
    doing: str
    asked: str
    status: int
    media_type: str
    by_registry: bool
    body: bytes
    after: float
    tried: Callable[[], str]

    @property
    def codes(self) -> frozenset[str]:
        """The codes of the errors that the registry names."""
        return frozenset(code for code, _ in _told(self.body))

    @property
    def reason(self) -> str:
        """What was done, and what came back."""
        told = "; ".join(f"{code} ({message})" if message else code for code, message in _told(self.body))
        return f"cannot {self.doing}: {self.asked} answered {_phrase(self.status)}" + (told and f": {told}")

    @property
    def keeps_tag(self) -> bool:
        """Whether a tag that exists may be the reason; registries say so in many ways."""
        return self.status in (409, 412) or _KEPT.search(self.reason) is not None

    def error(self) -> TaskImageError | Transient:
        """What to raise: Transient where asking again may help."""
        if self.status in (401, 403, 407):
            return self._shut_out()
        if self.asked.startswith("PUT") and self.codes & _MISSING:
            return BlobUnknown(self.reason, hint="upload the missing blobs again, and then the manifest")
        if self.status in (404, 410):
            return self._absent()
        if self.status in PASSING:
            return self._passing()
        return self._refused()

    @property
    def _no_registry(self) -> str:
        return f"look whether {self.registry} is an image registry, and what stands between (HTTPS_PROXY, NO_PROXY)"

    def _shut_out(self) -> NotAllowed:
        if self.status == 407:
            return NotAllowed(self.reason, hint=_PROXY)
        if self.status == 403 and "DENIED" in self.codes:
            hint = f"ask for the right to do this in {self.registry}/{self.repository}"
        else:
            hint = f"log in as somebody who may do this: taskimage login {self.registry} -u USER --password-stdin"
        tried = f"credentials for {self.registry} were looked for in:\n{self.tried()}"
        return NotAllowed(f"{self.reason}\n{tried}", hint=hint)

    def _absent(self) -> NotFound | Unreachable:
        empty = not self.body and self.media_type in ("", "application/json")
        if self.media_type == "text/html" or not (self.codes or self.by_registry or empty):
            page = f"{self.reason} with {self.media_type or 'something'!r}, which is not what a registry says"
            return Unreachable(page, hint=self._no_registry)
        hint = None
        if "NAME_UNKNOWN" in self.codes and _ECR in self.registry:
            hint = f"make the repository: aws ecr create-repository --repository-name {self.repository}"
        elif "NAME_UNKNOWN" in self.codes:
            hint = (
                "look whether the name is spelled right; some registries want a repository made before a push"
            )
        return NotFound(self.reason, hint=hint)

    def _passing(self) -> TaskImageError | Transient:
        hint = f"wait {self.after:.0f} seconds, and try again" if self.after else "try again later"
        return passing(Unreachable(self.reason, hint=hint), self.status, self.after)

    def _refused(self) -> BadInput | IntegrityError | Unreachable:
        if "DIGEST_INVALID" in self.codes:
            return IntegrityError(self.reason, hint="look what stands between and changes bytes on their way")
        if self.status == 413:
            return BadInput(self.reason, hint=_TOO_LARGE)
        if self.codes and 400 <= self.status < 500:
            return BadInput(self.reason)
        return Unreachable(self.reason, hint=self._no_registry)


def _told(body: bytes) -> Iterator[tuple[str, str]]:
    """Codes and messages of an error document, cut to what fits a message; nothing when it is none."""
    try:
        errors = json.loads(body)["errors"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict) and isinstance(code := error.get("code"), str):
            message = error.get("message")
            yield _shown(code), _shown(message) if isinstance(message, str) else ""


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST])


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
