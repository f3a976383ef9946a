"""Users of an image: names and numbers, as its own files have them."""

from __future__ import annotations

import pytest

from taskimage.model.errors import BadInput
from taskimage.model.user import User

_PASSWD = "root:x:0:0:root:/root:/bin/bash\nflytekit:x:1000:0::/home/flytekit:/bin/sh\nbroken\napp:x:7:8:::\n"
_GROUP = "root:x:0:\nstaff:x:50:\nbroken\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, "/root")),
        ("root", User(0, 0, "/root")),
        ("1000", User(1000, 0, "/home/flytekit")),
        ("1000:0", User(1000, 0, "/home/flytekit")),
        ("flytekit:staff", User(1000, 50, "/home/flytekit")),
        ("1000:7", User(1000, 7, "/home/flytekit")),
        ("app", User(7, 8, "/")),
        ("12345", User(12345, 0, "/")),
    ],
)
def test_a_user_is_found_by_name_or_number(text: str, expected: User) -> None:
    assert User.find(text, passwd=_PASSWD, group=_GROUP) == expected


def test_an_image_without_the_files_runs_as_a_number() -> None:
    assert User.find("1000:0", passwd="", group="") == User(1000, 0, "/")
    assert User.find("", passwd="", group="") == User(0, 0, "/")


@pytest.mark.parametrize(("text", "file"), [("nobody-here", "/etc/passwd"), ("root:no-group", "/etc/group")])
def test_a_name_that_the_image_does_not_have_is_an_error(text: str, file: str) -> None:
    with pytest.raises(BadInput, match=file):
        User.find(text, passwd=_PASSWD, group=_GROUP)
