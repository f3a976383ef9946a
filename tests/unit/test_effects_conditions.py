"""Conditions of maintainer scripts, on the files of an image (POSIX.1-2017, test)."""

from __future__ import annotations

import shlex

import pytest

from taskimage.transform.effects.conditions import evaluate_test
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

TREE = Tree(
    [
        Entry.symlink("bin", "usr/bin"),
        Entry.directory("etc"),
        Entry.file("etc/full", b"x"),
        Entry.file("etc/empty", b""),
        Entry.file("usr/bin/tool", b"#!", 0o755),
        Entry.symlink("etc/link", "full"),
        Entry.symlink("etc/broken", "nowhere"),
    ]
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("-e /etc/full", True),
        ("-e /etc/none", False),
        ("-f /etc/full", True),
        ("-f /etc", False),
        ("-d /etc", True),
        ("-d /etc/full", False),
        ("-s /etc/full", True),
        ("-s /etc/empty", False),
        ("-x /usr/bin/tool", True),
        ("-x /etc/full", False),
        ("-x /bin/tool", True),
        ("-L /etc/link", True),
        ("-h /etc/full", False),
        ("-f /etc/link", True),
        ("-e /etc/broken", False),
        ("! -e /etc/none", True),
        ("-e /run/systemd/system", False),
        ("-d /proc", False),
        ("-n x", True),
        ("-n ''", False),
        ("-z ''", True),
        ("a = a", True),
        ("a != a", False),
        ("1 -lt 2", True),
        ("2 -le 1", False),
        ("x -eq 1", None),
        ("-e /etc/full -a -e /etc/none", False),
        ("-e /etc/full -o -e /etc/none", True),
        ("word", True),
        ("''", False),
        ("-u /etc/full", None),
    ],
)
def test_a_condition_holds_as_in_the_image(condition: str, *, holds: bool | None) -> None:
    assert evaluate_test(shlex.split(condition), TREE) is holds


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["-n", None], None),
        ([None, "=", "a"], None),
        ([None, "=", "a", "-o", "-e", "/etc"], True),
        ([None, "=", "a", "-a", "-e", "/none"], False),
        ([None, "=", "a", "-a", "-e", "/etc"], None),
        (["!", "-n", None], None),
    ],
)
def test_what_hangs_on_a_word_that_is_not_known_is_not_known(
    words: list[str | None], *, holds: bool | None
) -> None:
    assert evaluate_test(words, TREE) is holds
