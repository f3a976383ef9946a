"""``.dockerignore``: which paths a text of rules leaves out."""

from __future__ import annotations

import pytest

from taskimage.model.errors import BadInput
from taskimage.transform.dockerignore import DockerIgnore

CASES = [
    ("", "a", False),
    ("a", "a", True),
    ("a", "b", False),
    ("a", "b/a", False),
    ("a", "a/b/c", True),
    ("/a/", "a", True),
    ("./a", "a", True),
    ("a", "./a", False),
    ("a", "./a/b", True),
    ("A.TXT", "a.txt", True),
    ("*.txt", "a.txt", True),
    ("*.txt", "d/a.txt", False),
    ("**/*.txt", "a.txt", True),
    ("**/*.txt", "d/e/a.txt", True),
    ("d/**", "d/e/a", True),
    ("d**", "d/e/a", True),
    ("a/../b", "b", True),
    ("../b", "b", True),
    ("?", "a", True),
    ("?", "ab", False),
    ("[ab]c", "ac", True),
    ("[!ab]c", "ac", False),
    ("[!ab]c", "xc", True),
    ("[^a]c", "^c", True),
    ("[^a]c", "xc", False),
    ("[", "[", True),
    ("[]", "[]", True),
    ("[!]", "[!]", True),
    ("[]]", "]", True),
    ("a.c", "abc", False),
    ("a\n!a/keep", "a/keep", False),
    ("a\n!a/keep", "a/other", True),
    ("!a\na", "a", True),
    ("#a", "#a", False),
    (" a ", "a", True),
    (".", "a", False),
    ("*", ".dockerignore", False),
    ("*", "a/b", True),
    ("a/b", "a/b/c", True),
    ("a/b", "a", False),
]


@pytest.mark.parametrize(("text", "path", "expected"), CASES)
def test_a_rule_leaves_out_what_docker_py_leaves_out(text: str, path: str, expected: bool) -> None:  # noqa: FBT001
    assert DockerIgnore.parse(text, where="x").ignores(path) is expected


def test_a_pattern_that_is_none_is_refused_at_its_line() -> None:
    with pytest.raises(BadInput) as caught:
        DockerIgnore.parse("a\n[z-a]", where="d/.dockerignore")
    assert caught.value.where == "d/.dockerignore:2"
