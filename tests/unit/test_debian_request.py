"""What a spec asks for is written as for apt-get."""

from __future__ import annotations

import pytest

from taskimage.adapters.debian.request import Request
from taskimage.model.errors import BadInput

REQUESTS = [
    ("git", Request("git")),
    (" g++ ", Request("g++")),
    ("git=1:2.39.5-0+deb12u3", Request("git", version="1:2.39.5-0+deb12u3")),
    ("git=1:2.39.*", Request("git", version="1:2.39.*")),
    ("git/bookworm-security", Request("git", suite="bookworm-security")),
    ("git:amd64", Request("git")),
    ("git:amd64=1.0", Request("git", version="1.0")),
]


@pytest.mark.parametrize(("text", "request_"), REQUESTS)
def test_a_request_is_read(text: str, request_: Request) -> None:
    assert Request.parse(text, "amd64") == request_


@pytest.mark.parametrize(
    "text", ["", "git curl", "git=", "git/", "./a.deb", "https://x/a.deb", "git|curl", "git (>= 1)"]
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not a Debian package"):
        Request.parse(text, "amd64")


def test_a_request_for_another_architecture_is_refused() -> None:
    with pytest.raises(BadInput, match="architecture 'i386'"):
        Request.parse("wine:i386", "amd64")


def test_a_request_prints_back() -> None:
    assert [str(request) for _, request in REQUESTS[2:5]] == [text for text, _ in REQUESTS[2:5]]
