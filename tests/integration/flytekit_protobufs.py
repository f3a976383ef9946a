"""Run by the Python of an environment that has flyteidl, on the files that a cluster would have.

``tasks PATH`` prints the tasks of what `pyflyte package` or `serialize` wrote, or of the ``futures.pb`` of a dynamic
task; ``inputs PATH`` writes the values that standard input has as JSON; ``outputs PATH`` prints such values.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.literals_pb2 import Literal, LiteralCollection, LiteralMap, Primitive, Scalar


def templates(path: Path) -> Sequence[Any]:
    if path.name == "futures.pb":
        tasks: Sequence[Any] = DynamicJobSpec.FromString(path.read_bytes()).tasks
        return tasks
    return [TaskSpec.FromString(data).template for data in specs(path)]


def specs(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        yield from (part.read_bytes() for part in path.glob("*_1.pb"))
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.endswith("_1.pb") and (stream := tar.extractfile(member)):
                yield stream.read()


def described(template: Any) -> dict[str, Any]:
    container = template.container
    return {
        "image": container.image,
        "words": [*container.command, *container.args],
        "environ": {pair.key: pair.value for pair in container.env},
    }


def to_literal(value: Any) -> Any:
    if isinstance(value, list):
        return Literal(collection=LiteralCollection(literals=map(to_literal, value)))
    kind = "integer" if isinstance(value, int) else "string_value"
    return Literal(scalar=Scalar(primitive=Primitive(**{kind: value})))


def to_value(literal: Any) -> Any:
    if literal.HasField("collection"):
        return [to_value(each) for each in literal.collection.literals]
    primitive = literal.scalar.primitive
    return getattr(primitive, primitive.WhichOneof("value"))


verb, place = sys.argv[1], Path(sys.argv[2])
answer: dict[str, Any] = {}
if verb == "tasks":
    answer = {template.id.name: described(template) for template in templates(place)}
elif verb == "inputs":
    literals = {name: to_literal(value) for name, value in json.load(sys.stdin).items()}
    place.write_bytes(LiteralMap(literals=literals).SerializeToString())
elif verb == "outputs":
    read = LiteralMap.FromString(place.read_bytes()).literals
    answer = {name: to_value(literal) for name, literal in read.items()}
sys.stdout.write(json.dumps(answer) + "\n")
