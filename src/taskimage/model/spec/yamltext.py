"""YAML text -> nodes with positions, for text that nobody vouches for.

PyYAML's SafeLoader (YAML 1.1) with limits: on bytes, on depth, on numbers, and on what aliases stand for,
which is counted and never written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import yaml

from taskimage.model.errors import InvalidSpec, Problem
from taskimage.model.spec import MAX_BYTES
from taskimage.model.spec.misyaml import Limit, explain

__all__ = ["Loader", "compose", "parts", "place"]

_MAX_DEPTH = 32
_MAX_NODES = 10_000

# PyYAML's arithmetic is quadratic in the digits.
_MAX_DIGITS = 100

_IN_LINES = "each line is KEY: value, with a space behind the colon"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _decode(data: bytes, path: str) -> str:
    def refuse(before: str, message: str, hint: str) -> InvalidSpec:
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return InvalidSpec(path, (Problem(line, column, message, hint),))

    if len(data) > MAX_BYTES:
        raise InvalidSpec(path, (Problem(0, 0, f"is larger than a spec may be: {MAX_BYTES} bytes"),))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"not YAML: byte {data[error.start]:#04x} is not UTF-8"
        raise refuse(before, message, "save the file in UTF-8") from error
    if odd := Loader.NON_PRINTABLE.search(text):
        message = f"not YAML: it may not hold the character {odd[0]!r}"
        raise refuse(text[: odd.start()], message, "write it in double quotes, with the backslash")
    return text


class Loader(yaml.SafeLoader):
    """PyYAML's SafeLoader, which stops where a document goes past a limit."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        # Of each node that is complete: how many nodes it is and how deep, with its aliases written out.
        self._extents: dict[int, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse(f"nests deeper than {_MAX_DEPTH} levels", mark)
        if len(self._extents) >= _MAX_NODES:
            self._refuse("more parts than a spec may hold", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            self._refuse(f"a number of {len(node.value)} digits", mark)
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._extents:
                self._refuse("an alias of what it stands in has no end", mark)
        elif node is not None:
            self._extents[id(node)] = self._extent(node, mark)
        return node

    def _extent(self, node: yaml.Node, mark: yaml.Mark) -> tuple[int, int]:
        size, depth = 1, 0
        for part in parts(node):
            inner_size, inner_depth = self._extents[id(part)]
            size, depth = size + inner_size, max(depth, inner_depth)
        if size > _MAX_NODES or depth >= _MAX_DEPTH:
            self._refuse("with its aliases written out, this is more than a spec may hold", mark)
        return size, depth + 1

    def _refuse(self, problem: str, mark: yaml.Mark) -> NoReturn:
        raise Limit(problem=problem, problem_mark=mark)


def compose(data: bytes, *, path: str) -> tuple[Loader, yaml.MappingNode]:
    """The mapping that ``data`` holds, and the loader that constructs its values.

    Raises:
        InvalidSpec: ``data`` is not YAML, not one mapping, or more than a spec may be.
    """
    loader = Loader(_decode(data, path))
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise InvalidSpec(path, (explain(error),)) from error
    if root is None:
        raise InvalidSpec(path, (Problem(1, 1, "the file is empty; wanted a mapping such as name: demo"),))
    if not isinstance(root, yaml.MappingNode):
        hint = "take the dash away" if isinstance(root, yaml.SequenceNode) else _IN_LINES
        message = "wanted a mapping at the top, such as name: demo"
        raise InvalidSpec(path, (Problem(*place(root), message, hint),))
    return loader, root


def place(node: yaml.Node) -> tuple[int, int]:
    """The line and column where ``node`` starts, from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def parts(node: yaml.Node) -> Iterator[yaml.Node]:
    """The nodes that ``node`` holds: items, or keys and values."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
