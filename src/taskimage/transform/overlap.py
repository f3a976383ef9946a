"""Two packages with different files at one path: where either of the two serves, and where that is an error.

Projects that share a namespace (``google``, ``backports``, ``sphinxcontrib``) each bring its ``__init__.py``, which
says so and nothing else, each in its own words. And many a wheel has more in it than its author meant: ``tests/``,
``README.md`` or ``LICENSE`` right in ``site-packages``, from where nobody imports or reads them.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

from taskimage.transform.bytecode import pyc_path
from taskimage.transform.entry import Entry, same_content

__all__ = ["Relation", "merged", "relation"]

Relation: TypeAlias = Literal["same", "stray", "clash"]
"""How two files at one path get along: they mean the same, it does not matter which is there, or it does."""

_LARGEST: Final = 1 << 16  # bytes of a module that is read for what it says

_PLACE: Final = re.compile(r"opt/(?:venv|conda)/(?:lib/python3\.\d+/site-packages/)?(?P<rest>.+)")
_STRAY: Final = re.compile(
    r"(?:tests?|docs?|examples?|samples?|benchmarks?|share/doc)/.+"
    r"|(?!.*\.(?:pyi?|pth|so[.\d]*)$)[^/]+",  # no module
    re.IGNORECASE,
)

# The ways to say that a package has parts elsewhere (PyPA, "Packaging namespace packages"), as `ast.unparse` has them.
_NAMESPACE: Final = frozenset(
    {
        "import pkgutil",
        "import pkg_resources",
        "from pkgutil import extend_path",
        "__path__ = extend_path(__path__, __name__)",
        "__path__ = pkgutil.extend_path(__path__, __name__)",
        "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
        "pkg_resources.declare_namespace(__name__)",
        "__import__('pkg_resources').declare_namespace(__name__)",
    }
)


def relation(one: Entry, other: Entry) -> Relation:
    """How two files of one path, in the virtual environment or conda's, get along."""
    if same_content(one, other):
        return "same"
    if one.path.endswith("/__init__.py"):
        meaning = _meaning(one)
        if meaning is not None and meaning == _meaning(other):
            return "same"
    place = _PLACE.fullmatch(one.path)
    return "stray" if place and _STRAY.fullmatch(place["rest"]) else "clash"


def merged(
    packages: Iterable[tuple[Sequence[Entry], Sequence[Entry]]], *, python: str
) -> Iterator[Sequence[Entry]]:
    """The files of some packages, and the bytecode of each, without what an earlier one brought.

    Args:
        packages: Of each its files and its bytecode, in the order in which the first one wins.
        python: The feature version of the interpreter that the bytecode is for.
    """
    seen: set[str] = set()
    for files, compiled in packages:
        paths = {entry.path for entry in files if entry.kind != "dir"}
        repeated = paths & seen
        # Unchecked bytecode of another source would run in its place.
        stale = {pyc_path(path, python) for path in repeated}
        yield [entry for entry in files if entry.path not in repeated]
        yield [entry for entry in compiled if entry.path not in stale]
        seen |= paths


def _meaning(entry: Entry) -> str | None:
    """``"nothing"`` or ``"namespace"`` for a module that does no more, whatever its comments and docstring say."""
    if entry.body is None or entry.size > _LARGEST:
        return None
    with entry.body.open() as stream:
        source = stream.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the spelling of strings
            said = set(_statements(ast.parse(source).body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not said:
        return "nothing"
    return "namespace" if said <= _NAMESPACE else None


def _statements(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The statements of ``body`` in one spelling, those of both ways of a ``try: … except ImportError: …`` too."""
    for statement in body:
        match statement:
            case ast.Expr(ast.Constant(str())) | ast.Pass():
                pass
            case ast.Try(handlers=[ast.ExceptHandler(type=ast.Name("ImportError"))], orelse=[], finalbody=[]):
                yield from _statements((*statement.body, *statement.handlers[0].body))
            case _:
                yield ast.unparse(statement)
