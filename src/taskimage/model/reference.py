"""References: image identifiers taken apart, by the grammar of distribution/reference.

    reference   := name [":" tag] ["@" digest]
    name        := [registry "/"] component ("/" component)*
    registry    := (host | "[" IPv6 "]") [":" port]
    component   := alphanumeric (separator alphanumeric)*      lower case; at most 255 characters in all components
    separator   := "." | "_" | "__" | "-"+
    tag         := [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
    digest      := ("sha256" | "sha384" | "sha512") ":" hex    lower case, of the algorithm's length

What stands before the first ``/`` is a registry when it has a dot, a colon or a capital, or is ``localhost``;
without one the registry is ``docker.io``, whose images with one component are those of ``library/``.
"""

from __future__ import annotations

import functools
import re

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, WrongType
from taskimage.model.shown import shown
from taskimage.model.value import dataclass

__all__ = [
    "COMPONENT",
    "HOST_PART",
    "LONGEST_IDENTIFIER",
    "LONGEST_REPOSITORY",
    "Reference",
    "split_registry",
    "with_defaults",
]

LONGEST_REPOSITORY = 255
# The grammar has no bound for hosts, and DNS has (RFC 1035, 2.3.4: 255 octets): with repository, tag and digest
# nothing longer than this can be served, so that nothing longer need be looked at.
LONGEST_IDENTIFIER = 1024

_DEFAULT_REGISTRY = "docker.io"
_LEGACY_REGISTRY = "index.docker.io"
_OFFICIAL = "library"

HOST_PART = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_REGISTRY = re.compile(rf"(?:{HOST_PART}(?:\.{HOST_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z")
COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REST = re.compile(rf"({COMPONENT}(?:/{COMPONENT})*)(?::([a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}}))?(?:@(.+))?\Z")
# Text that is an image's identifier in docker's own sense, and so no name (its sha256, shown by `docker images`).
_IMAGE_ID = re.compile(r"[0-9a-f]{64}\Z")


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is: everything that its identifier leaves out is filled in.

    Ordered by registry, repository, tag and digest, what has none first.

    Attributes:
        registry: Host, and port where one is given.
        repository: The path behind it.
        tag: The tag, or None.
        digest: The digest, or None. A reference may have both, and then the digest is what is pulled.

    Examples:
        >>> Reference.parse("ubuntu:24.04")
        Reference(registry='docker.io', repository='library/ubuntu', tag='24.04', digest=None)
        >>> str(Reference.parse("ubuntu:24.04")), Reference.parse("ubuntu:24.04").familiar
        ('docker.io/library/ubuntu:24.04', 'ubuntu:24.04')
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, identifier: str) -> Reference:
        """The reference that ``identifier`` writes, in time proportional to its length.

        Raises:
            InvalidReference: (a ValueError) with the place, the reason and what would be accepted.
            WrongType: (a TypeError) when it is not text.
        """
        if not isinstance(identifier, str):
            raise WrongType(f"cannot read {shown(identifier)} as an image identifier; wanted text")
        reference = _parse(identifier)
        if reference is None:
            from taskimage.model.misreference import explain

            raise explain(identifier)
        return reference

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The shortest identifier that parses to this reference: what people write."""
        full = str(self)
        for prefix in (f"{_DEFAULT_REGISTRY}/{_OFFICIAL}/", f"{_DEFAULT_REGISTRY}/"):
            # Not every short form leads back: docker.io/localhost/a, docker.io/library/ and 64 hex digits.
            if full.startswith(prefix) and _parse(full[len(prefix) :]) == self:
                return full[len(prefix) :]
        return full

    def __str__(self) -> str:
        """The normal form, with the registry and ``library/`` spelled out."""
        tag = "" if self.tag is None else f":{self.tag}"
        return f"{self.registry}/{self.repository}{tag}" + ("" if self.digest is None else f"@{self.digest}")

    def __lt__(self, other: object) -> bool:
        return self._key < other._key if isinstance(other, Reference) else NotImplemented

    @property
    def _key(self) -> tuple[str, str, str, str]:
        return self.registry, self.repository, self.tag or "", str(self.digest or "")


def split_registry(identifier: str) -> tuple[str, str]:
    """The registry that ``identifier`` writes in front, or "", and the rest; nothing is checked."""
    head, slash, rest = identifier.partition("/")
    if slash and (head == "localhost" or "." in head or ":" in head or head.lower() != head):
        return head, rest
    return "", identifier


def with_defaults(registry: str, rest: str) -> tuple[str, str]:
    """Registry and rest, with what docker fills in where nothing is written."""
    if registry not in {"", _DEFAULT_REGISTRY, _LEGACY_REGISTRY}:
        return registry, rest
    return _DEFAULT_REGISTRY, rest if "/" in rest else f"{_OFFICIAL}/{rest}"


def _parse(identifier: str) -> Reference | None:
    if len(identifier) > LONGEST_IDENTIFIER or _IMAGE_ID.match(identifier):
        return None
    registry, rest = with_defaults(*split_registry(identifier))
    match = _REST.match(rest)
    if match is None or _REGISTRY.match(registry) is None:
        return None
    repository, tag, digest = match.groups()
    if len(repository) > LONGEST_REPOSITORY:
        return None
    try:
        return Reference(registry, repository, tag, Digest.parse(digest) if digest else None)
    except BadInput:
        return None
