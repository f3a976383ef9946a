"""``.dockerignore``: which paths a text of rules leaves out."""

from __future__ import annotations

import pytest

from taskimage.model.errors import BadInput
from taskimage.transform.dockerignore import DockerIgnore

# Every kind of case that Docker's own matcher is tried with, and what docker-py makes of it. Docker itself knows no
# case-blindness, takes a backslash for an escape, and lets an asterisk pair match inside a name.
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
    # a double asterisk at the start is any number of folders, and none
    ("**", "a/b", True),
    ("**", "a", True),
    ("**/", "a/b", True),
    ("**/a", "a", True),
    ("**/a", "x/y/a", True),
    ("**/a", "ba", False),
    ("**/a/b", "x/a/b", True),
    ("**/a/b", "a/x/b", False),
    ("**/*", "a", True),
    ("**a", "x/ya", False),
    ("**/**/a", "x/a", True),
    ("**/.keep", "x/.keep", True),
    # in the middle
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**/b", "a/xb", False),
    ("a/**/*.c", "a/x/y.c", True),
    ("a**/b", "ax/y/b", True),
    ("a/**/b/**/c", "a/b/c", True),
    ("a/**/b/**/c", "a/x/b/y/c", True),
    # at the end
    ("a/**", "a", False),
    ("a/**", "a/b/c", True),
    ("a/**", "b/a/c", False),
    ("a/b**", "a/bc/d", True),
    ("a/*", "a/b/c", True),
    ("a/*", "a", False),
    ("*/*", "a", False),
    ("*/*", "a/b/c", True),
    # an asterisk and a question mark end at a slash
    ("a*b", "a/b", False),
    ("a?b", "a/b", False),
    ("a*", "ab/c", True),
    ("*", "a", True),
    ("*b", "ab", True),
    ("a*b*c", "axbyc", True),
    ("???", "ab", False),
    ("a?", "aä", True),
    # what means something in a regular expression means itself
    ("a+", "aa", False),
    ("a+", "a+", True),
    ("(a)", "(a)", True),
    ("a|b", "a", False),
    ("a{2}", "aa", False),
    ("a$", "a$", True),
    ("^a", "a", False),
    ("a.", "ab", False),
    ("\\d", "1", False),
    ("{a,b}", "a", False),
    # sets
    ("[a-c]x", "bx", True),
    ("[a-c]x", "dx", False),
    ("[!a-c]x", "dx", True),
    ("[a-]x", "-x", True),
    ("[]a]x", "]x", True),
    ("[!]a]x", "bx", True),
    ("[[]x", "[x", True),
    ("[a/b]c", "a/c", False),
    ("[^^]a", "^a", True),
    ("[\\]", "\\", True),
    ("[a", "[a", True),
    ("a]", "a]", True),
    ("[A-C]", "b", True),
    # a backslash is a character
    ("\\*", "a", False),
    ("\\*", "\\a", True),
    ("\\!a", "!a", False),
    ("a\\b", "a\\b", True),
    ("\\#a", "#a", False),
    # the last rule that matches decides
    ("*\n!a", "a", False),
    ("*\n!a", "b", True),
    ("!a\n*", "a", True),
    ("a\n!a\na", "a", True),
    ("*\n!*.md\nx.md", "x.md", True),
    ("*\n!*.md\nx.md", "y.md", False),
    ("a\n!a/b\na/b/c", "a/b/c", True),
    ("a\n!a/b\na/b/c", "a/b/d", False),
    ("**\n!a/b", "a/b/c", False),
    ("a/*\n!a/b", "a/c", True),
    ("!a", "a", False),
    ("!", "a", False),
    ("a\n!**/b", "a/x/b", False),
    ("a/b\n!a", "a/b", False),
    # what is written around the names does not count
    ("a//b", "a/b", True),
    ("/a", "a", True),
    ("a/.", "a", True),
    ("./a/./b", "a/b", True),
    ("a/b/..", "a/x", True),
    ("..", "a", False),
    ("/", "a", False),
    (" ", "a", False),
    ("\ta\t", "a", True),
    ("! a", "a", False),
    ("a\r", "a", True),
    ("a\r\nb", "b", True),
    ("a\rb", "b", True),
    ("a \n b", "b", True),
    # a comment starts in the first column
    (" #a", "#a", True),
    ("a#b", "a#b", True),
    ("a #b", "a #b", True),
    ("#\na", "a", True),
    # letters of any script, in any case
    ("ä", "Ä", True),
    ("日*", "日本", True),
    ("*.PNG", "a.png", True),
    ("a", "A/b", True),
    # the file itself stays
    (".dockerignore", ".dockerignore", False),
    ("**", "x/.dockerignore", True),
    (".dockerignore/x", ".dockerignore/x", False),
]


@pytest.mark.parametrize(("text", "path", "expected"), CASES)
def test_a_rule_leaves_out_what_docker_py_leaves_out(text: str, path: str, expected: bool) -> None:  # noqa: FBT001
    assert DockerIgnore.parse(text, where="x").ignores(path) is expected


def test_a_set_that_python_may_read_otherwise_one_day_is_no_warning() -> None:
    assert DockerIgnore.parse("[[a]b", where="x").ignores("ab")


def test_a_pattern_that_is_none_is_refused_at_its_line() -> None:
    with pytest.raises(BadInput) as caught:
        DockerIgnore.parse("a\n[z-a]", where="d/.dockerignore")
    assert caught.value.where == "d/.dockerignore:2"
