"""The solver: what packages need, which alternative is taken, and why something cannot be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskimage.adapters.debian.index import Index, write_index
from taskimage.adapters.debian.request import Request
from taskimage.adapters.debian.solve import solve
from taskimage.adapters.debian.universe import Universe
from taskimage.model.errors import CannotBuild, IntegrityError, NotFound

Resolve = Callable[..., str]


def stanzas(text: str) -> bytes:
    """A Packages file of ``name version; Field: value; …`` lines."""
    blocks = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, *fields = line.split("; ")
        name, version = head.split()
        blocks.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nPriority: optional\n"
            + "".join(f"{field}\n" for field in fields)
            + f"Filename: pool/{name}_{version}.deb\nSize: 10\nSHA256: {'ab' * 32}\n"
        )
    return "\n".join(blocks).encode()


@pytest.fixture
def resolve(tmp_path: Path) -> Iterator[Resolve]:
    """Names to `name=version` words, over the given indexes (release first)."""
    with ExitStack() as stack:

        def resolved(names: str, *texts: str, installed: str = "") -> str:
            indexes = []
            for number, text in enumerate(texts):
                suite = "suite" + ("", "-updates", "-security")[number]
                path = tmp_path / f"{len(list(tmp_path.iterdir()))}.packages"
                write_index([stanzas(text)], path, where="x")
                indexes.append(stack.enter_context(_open(path, suite)))
            universe = Universe(indexes, suite="suite", architecture="amd64")
            requests = [Request.parse(name, "amd64") for name in names.split()]
            universe.pin(requests)
            below = solve(universe, universe.wanted([Request(name) for name in installed.split()]))
            chosen = solve(universe, universe.wanted(requests), below)
            return " ".join(f"{item.name}={item.version}" for item in chosen)

        yield resolved


class _open:  # noqa: N801
    """An index that is closed with the block."""

    def __init__(self, path: Path, suite: str) -> None:
        self._index = Index(path, archive="debian", suite=suite)

    def __enter__(self) -> Index:
        return self._index

    def __exit__(self, *_: object) -> None:
        self._index.close()


CASES = {
    "Depends and Pre-Depends, never Recommends": (
        "a", "a 1; Depends: b; Pre-Depends: c; Recommends: d\nb 1\nc 1\nd 1", "a=1 b=1 c=1",
    ),
    "a cycle": ("a", "a 1; Depends: b\nb 1; Depends: a", "a=1 b=1"),
    "the highest version": ("a", "a 1.9\na 1.10\na 1.10~", "a=1.10"),
    "the first alternative": ("a", "a 1; Depends: x | y\nx 1\ny 1", "a=1 x=1"),
    "an alternative that is wanted anyway": ("a y", "a 1; Depends: x | y\nx 1\ny 1", "a=1 y=1"),
    "an alternative that another needs": ("a b", "a 1; Depends: x | y\nb 1; Depends: y\nx 1\ny 1", "a=1 b=1 y=1"),
    "an alternative that exists": ("a", "a 1; Depends: x | y\ny 1", "a=1 y=1"),
    "an alternative whose version is there": ("a", "a 1; Depends: x (>= 2) | y\nx 1\ny 1", "a=1 y=1"),
    "an alternative that nothing excludes": (
        "a b", "a 1; Depends: x | y\nb 1; Conflicts: x\nx 1\ny 1", "a=1 b=1 y=1",
    ),
    "an alternative whose own needs can be met": ("a", "a 1; Depends: x | y\nx 1; Depends: none\ny 1", "a=1 y=1"),
    "choices of what is below come first": (
        "a", "a 1; Depends: b, x | v\nb 1; Depends: y | v\nx 1; Provides: v\ny 1; Provides: v", "a=1 b=1 y=1",
    ),
    "a virtual package": ("a", "a 1; Depends: v\nx 1; Provides: v", "a=1 x=1"),
    "the more important provider": (
        "a", "a 1; Depends: v\nx 1; Provides: v\ny 1; Provides: v; Priority: important", "a=1 y=1",
    ),
    "a real package before its providers": ("a", "a 1; Depends: v\nu 1; Provides: v\nv 1", "a=1 v=1"),
    "a versioned Provides": (
        "a", "a 1; Depends: v (>= 2)\nx 1; Provides: v\ny 1; Provides: v (= 1)\nz 1; Provides: v (= 2)", "a=1 z=1",
    ),
    "any architecture, where it is allowed": ("a", "a 1; Depends: p:any\np 1; Multi-Arch: allowed", "a=1 p=1"),
    "a conflict with what it provides itself": ("a", "a 1; Provides: v; Conflicts: v", "a=1"),
    "what is broken in an older version": ("a b", "a 1; Breaks: b (<< 2)\nb 2", "a=1 b=2"),
    "a request for a version": ("a=1", "a 1\na 2", "a=1"),
    "a request for some version": ("a=1.*", "a 1.1\na 1.2\na 2", "a=1.2"),
    "a request for a virtual package with one provider": ("v", "x 1; Provides: v", "x=1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_takes(name: str, resolve: Resolve) -> None:
    wanted, text, expected = CASES[name]
    assert resolve(wanted, text) == expected


def test_takes_the_highest_version_of_all_indexes(resolve: Resolve) -> None:
    assert resolve("a b", "a 1\nb 3", "a 2", "a 3\nb 2") == "a=3 b=3"


def test_a_request_may_name_the_suite(resolve: Resolve) -> None:
    assert resolve("a/suite-updates", "a 1", "a 2", "a 3") == "a=2"


def test_only_what_is_not_installed_is_added(resolve: Resolve) -> None:
    text = "base 1; Depends: x\na 1; Depends: x | y, z\nx 1\ny 1\nz 1"
    assert resolve("a x", text, installed="base") == "a=1 z=1"


CANNOT = {
    "a missing dependency": (
        "a", "a 1; Depends: b\nb 2; Depends: c (>= 3)\nc 2",
        r"b 2 depends on 'c \(>= 3\)'.* in suite for amd64 meets: there is c 2(.|\n)*needed by a → b",
    ),
    "alternatives that are all missing": ("a", "a 1; Depends: b | c", r"'b \| c'.*there is no b; there is no c"),
    "two that conflict": ("a b", "a 1; Conflicts: b\nb 2", r"a 1 conflicts with 'b', so that b 2"),
    "two that conflict, the other way": ("a b", "a 1\nb 2; Conflicts: a", r"b 2 conflicts with 'a', so that a 1"),
    "a conflict with a virtual package": ("a b", "a 1; Conflicts: v\nb 2; Provides: v", r"a 1 conflicts with 'v'.*b 2"),
    "one that breaks another": ("a b", "a 1; Breaks: b (<< 3)\nb 2", r"a 1 breaks 'b \(<< 3\)', so that b 2"),
    "a conflict deep below": (
        "a b", "a 1; Depends: x\nb 1; Depends: y\nx 1; Conflicts: y\ny 1", r"leave one of them out: a → x, and b → y",
    ),
    "a version that excludes what is needed": (
        "a b=1", "a 1; Depends: b (>= 2)\nb 1\nb 2", r"a 1 depends on 'b \(>= 2\)'.*b 1 is already chosen",
    ),
    "a package for another architecture": ("a", "a 1; Depends: b:i386\nb 1", r"'b:i386'"),
    "an unversioned Provides for a version": ("a", "a 1; Depends: v (>= 1)\nx 1; Provides: v", r"there is no v"),
}  # fmt: skip


@pytest.mark.parametrize("name", CANNOT)
def test_says_why_it_cannot_take(name: str, resolve: Resolve) -> None:
    wanted, text, message = CANNOT[name]
    with pytest.raises(CannotBuild, match=message):
        resolve(wanted, text)


UNKNOWN = {
    "a close name": (
        "grahpviz",
        "graphviz 1",
        "no package 'grahpviz' in suite for amd64; did you mean graphviz",
    ),
    "another case": ("Git", "git 1", "did you mean git"),
    "several providers": ("v", "x 1; Provides: v\ny 1; Provides: v", "virtual, provided by x, y: name one"),
    "another version": ("a=3", "a 1\na 2", r"no package 'a=3'.*there is a 2 \(suite\), 1 \(suite\)"),
    "all of them": ("zz yy", "a 1", "'yy'.*'zz'"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_package_is_told_with_what_there_is(name: str, resolve: Resolve) -> None:
    wanted, text, message = UNKNOWN[name]
    with pytest.raises(NotFound, match=message):
        resolve(wanted, text)


@given(st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_request_and_of_the_index_does_not_matter(
    resolve: Resolve, dice: random.Random
) -> None:
    lines = [
        f"p{number} 1; Depends: {dice.choice('qrs')}{dice.randrange(3)} | {dice.choice('qrs')}{dice.randrange(3)}"
        for number in range(6)
    ]
    lines += [f"{letter}{number} 1; Provides: v{number}" for letter in "qrs" for number in range(3)]
    names = [f"p{number}" for number in range(6)]

    def shuffled(items: Sequence[str]) -> list[str]:
        return dice.sample(items, len(items))

    expected = resolve(" ".join(names), "\n".join(lines))
    assert resolve(" ".join(shuffled(names)), "\n".join(shuffled(lines))) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Version: 1\n", b""),
        (b"Size: 10", b"Size: ten"),
        (b"SHA256", b"SHA1"),
        (b"optional", b"\xff"),
        (b"Package", b"\xff"),
    ],
)
def test_a_list_of_packages_that_cannot_be_read_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    def find() -> None:
        write_index([stanzas("a 1").replace(old, new)], tmp_path / "x.packages", where="x")
        with _open(tmp_path / "x.packages", "suite") as index:
            index.find("a")

    with pytest.raises(IntegrityError, match="list of packages"):
        find()


def test_a_list_may_come_in_pieces_of_any_size(tmp_path: Path) -> None:
    text = stanzas("a 1\nb 1; Provides: v\nc 1")
    pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
    write_index(pieces, tmp_path / "x.packages", where="x")
    with _open(tmp_path / "x.packages", "suite") as index:
        assert sorted(index.names()) == ["a", "b", "c"]
        assert index.providers("v") == ("b",)


def test_an_index_is_the_same_bytes_whatever_pieces_it_came_in(tmp_path: Path) -> None:
    text = stanzas("b 1; Provides: v, w (= 2)\na 1; Provides: v\nb 2")
    for size in (1, 7, 1 << 20):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        write_index(pieces, tmp_path / f"{size}.packages", where="x")
    files = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 1
    assert files.pop().startswith(text)


@pytest.mark.parametrize(
    "text",
    [
        stanzas("a 1\nb 1; Provides: v").replace(b"\n\n", b"\n\n\n\n\n"),
        b"\n\n" + stanzas("a 1\nb 1; Provides: v"),
        stanzas("a 1\nb 1; Provides: v").rstrip(b"\n"),
        stanzas("a 1\nb 1; Provides: v")
        .replace(b"Package:", b"PACKAGE:\t")
        .replace(b"Provides", b"provides"),
        stanzas("a 1\nb 1; Provides: v").replace(b"Provides: v", b"Provides:\n u,\n v"),
        stanzas("a 1\nb 1; Provides: v").replace(
            b"Package: b\nVersion: 1", b"Provides: v\nVersion: 1\nPackage: b"
        ),
    ],
    ids=["blank lines", "blank at first", "no last line end", "any case", "folded", "any order"],
)
def test_a_list_may_be_written_in_any_way_that_policy_allows(tmp_path: Path, text: bytes) -> None:
    write_index([text], tmp_path / "x.packages", where="x")
    with _open(tmp_path / "x.packages", "suite") as index:
        assert index.names() == ["a", "b"]
        assert [item.version for name in ("a", "b") for item in index.find(name)] == ["1", "1"]
        assert index.providers("v") == ("b",)


NAMES = st.text("ab+.-", min_size=1, max_size=4).map(lambda text: f"n{text}")


@settings(max_examples=50)
@given(there=st.lists(st.tuples(NAMES, st.sets(NAMES, max_size=3)), max_size=12), asked=NAMES)
def test_what_is_found_by_halving_is_what_there_is(
    tmp_path_factory: pytest.TempPathFactory, there: list[tuple[str, set[str]]], asked: str
) -> None:
    """In the order of the list; of a name that another one begins with, and of one that is not there, too."""
    lines = [
        f"{name} {number}" + (f"; Provides: {', '.join(virtual)}" if virtual else "")
        for number, (name, virtual) in enumerate(there)
    ]
    path = tmp_path_factory.mktemp("index") / "x.packages"
    write_index([stanzas("\n".join(lines))], path, where="x")
    with _open(path, "suite") as index:
        for wanted in {
            asked,
            *(name for name, _ in there),
            *(one for _, virtual in there for one in virtual),
        }:
            versions = [str(number) for number, (name, _) in enumerate(there) if name == wanted]
            assert [item.version for item in index.find(wanted)] == versions
            providers = sorted({name for name, virtual in there if wanted in virtual})
            assert list(index.providers(wanted)) == providers
        assert index.names() == sorted({name for name, _ in there})
