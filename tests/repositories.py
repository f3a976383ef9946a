"""Repositories of registries in this process, for tests: reached as the library does, with short pauses."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Literal, TypeAlias

from taskimage.adapters.credentials import Credential, Found
from taskimage.adapters.http.connections import Connections
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry.authorization import Authorization
from taskimage.adapters.registry.endpoint import Endpoint
from taskimage.adapters.registry.repository import Repository
from taskimage.adapters.registry.session import Session
from taskimage.model.digest import Digest
from taskimage.model.oci import LAYER, Descriptor
from taskimage.testing import Registry

CANARY = "s3cr3t-canary"
"""A secret that no message may show."""

Kind: TypeAlias = Literal["basic", "identity", "bearer"]


def guarded(auth: Literal["basic", "bearer"] = "basic", *, may: Iterable[str] = ("pull", "push")) -> Registry:
    """A registry that lets only one user in."""
    return Registry(auth=auth, username="ada", password=CANARY, actions=may)


def credential(kind: Kind = "basic", secret: str = CANARY) -> Credential:
    """What the user of a `guarded` registry is let in with."""
    return Credential(kind, "ada", secret, "a test")


def session(
    roots: str | Sequence[str],
    *,
    known: Credential | None = None,
    trust: Trust | None = None,
    pauses: Sequence[float] = (0.0,) * 4,
) -> Session:
    """What talks to the registry at ``roots``."""
    trust = trust or Trust()
    roots = (roots,) if isinstance(roots, str) else tuple(roots)
    name = roots[0].partition("://")[2]
    connections = Connections({})
    authorization = Authorization(
        name, connections, lambda _: Found(known, ("auths in a.json: none",)), trust=lambda _: trust
    )
    return Session(Endpoint(name, roots, trust), connections, authorization, pauses=pauses)


def repository(
    registry: Registry,
    path: str = "team/app",
    *,
    known: Credential | None = None,
    trust: Trust | None = None,
    pauses: Sequence[float] = (0.0,) * 4,
) -> Repository:
    """A repository of ``registry``, to read from and write to."""
    return Repository(session(registry.url, known=known, trust=trust, pauses=pauses), path, push=True)


def blob(size: int, seed: int = 0) -> tuple[Descriptor, Callable[[], BinaryIO]]:
    """A blob of ``size`` bytes that nothing can compress, and what opens it."""
    data = random.Random(seed).randbytes(size)
    return described(data), lambda: io.BytesIO(data)


def described(data: bytes) -> Descriptor:
    """What names ``data`` as a layer."""
    return Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))


def asked(registry: Registry) -> list[str]:
    """The methods of all requests to ``registry``, in order, apart from those to its token server."""
    return [one.method for one in registry.requests if not one.path.startswith("/token")]
