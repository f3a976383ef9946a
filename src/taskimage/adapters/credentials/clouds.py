"""The registries of clouds, and the helpers that their makers give out for them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["standard_helpers"]

_STANDARD: Final = (
    (
        r"public\.ecr\.aws|[0-9]{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)",
        ("ecr-login",),
    ),
    (r"([a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev", ("gcloud", "gcr")),
    (r"[a-z0-9-]+\.azurecr\.(io|cn|us)", ("acr-env", "acr-linux")),
)


def standard_helpers(registry: str) -> tuple[str, ...]:
    """The names of the helpers that know ``registry``, when it is a cloud's."""
    return next((names for pattern, names in _STANDARD if re.fullmatch(pattern, registry)), ())
