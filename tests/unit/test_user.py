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
        ("", User(uid=0, gid=0, home="/root")),
        ("root", User(uid=0, gid=0, home="/root")),
        ("1000", User(uid=1000, gid=0, home="/home/flytekit")),
        ("1000:0", User(uid=1000, gid=0, home="/home/flytekit")),
        ("flytekit:staff", User(uid=1000, gid=50, home="/home/flytekit")),
        ("1000:7", User(uid=1000, gid=7, home="/home/flytekit")),
        ("app", User(uid=7, gid=8, home="/")),
        ("12345", User(uid=12345, gid=0, home="/")),
    ],
)
def test_a_user_is_found_by_name_or_number(text: str, expected: User) -> None:
    assert User.find(text, passwd=_PASSWD, group=_GROUP) == expected


def test_an_image_without_the_files_runs_as_a_number() -> None:
    assert User.find("1000:0", passwd="", group="") == User(uid=1000, gid=0, home="/")
    assert User.find("", passwd="", group="") == User(uid=0, gid=0, home="/")


@pytest.mark.parametrize(("text", "file"), [("nobody-here", "/etc/passwd"), ("root:no-group", "/etc/group")])
def test_a_name_that_the_image_does_not_have_is_an_error(text: str, file: str) -> None:
    with pytest.raises(BadInput, match=file):
        User.find(text, passwd=_PASSWD, group=_GROUP)
