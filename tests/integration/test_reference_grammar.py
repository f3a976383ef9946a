"""References are read as docker-image-py reads them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import product

import pytest
import uv

from taskimage.model.errors import InvalidReference
from taskimage.model.reference import Reference

pytestmark = pytest.mark.integration

ORACLE = """
import json, sys
from docker_image.reference import Reference

def read(text):
    try:
        named = Reference.parse_normalized_named(text)
    except Exception:
        return None
    return [named.string(), *named.split_hostname()]

json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
"""

DIGEST = "sha256:" + "0a" * 32
REGISTRIES = [
    *(
        "",
        "",
        "localhost/",
        "docker.io/",
        "index.docker.io/",
        "h.example/",
        "h:5000/",
        "[::1]/",
        "[fe80::1]:1/",
        "Host/",
    ),
    *(
        "h:x/",
        "h:/",
        "[::1/",
        "[]/",
        "a..b/",
        "-a.b/",
        "a-.b/",
        "A.B:1/",
        "127.0.0.1:5000/",
        "h.example",
        "::1/",
    ),
]
PATHS = ["a", "b1", "library/a", "a/b/c", "a.b_c__d--e", "0" * 64, "0a" * 32, "a" * 60]
PATHS += [
    "",
    "A",
    "a/B",
    "/a",
    "a/",
    "a//b",
    "a_",
    "-a",
    "a..b",
    "a___b",
    "a.-b",
    "a b",
    "é",
    "localhost",
    "docker.io",
]
VERSIONS = ["", ":v1", ":V_1.x-y", ":5000", "@" + DIGEST, ":v1@" + DIGEST, "@sha512:" + "2c" * 64]
VERSIONS += [
    "@sha384:" + "1b" * 48,
    ":",
    "@",
    ":.a",
    ":-a",
    ":" + "t" * 128,
    ":" + "t" * 129,
    ":a:b",
    "@md5:" + "0" * 32,
]
VERSIONS += [
    "@sha256:" + "0A" * 32,
    "@sha256:" + "0a" * 31,
    "@" + DIGEST + "0",
    ":é",
    "@sha256",
    ":v1/a",
    "@" + DIGEST + ":v1",
]
LOOSE = [*"aB0-_./:@[]", "localhost", "docker.io", DIGEST]


def _texts() -> list[str]:
    """Every registry with every path and version, and texts that nobody chose."""
    chance = random.Random(5)  # the same in every run
    loose = ("".join(chance.choices(LOOSE, k=chance.randrange(9))) for _ in range(10_000))
    return sorted({*map("".join, product(REGISTRIES, PATHS, VERSIONS)), *loose})


def _ours(text: str) -> list[str] | None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return None
    return [str(reference), reference.registry, reference.repository]


def _theirs(texts: list[str]) -> dict[str, list[str] | None]:
    command = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--no-config", "--no-python-downloads"]
    command += ["--python", sys.executable, "--with=docker-image-py==0.2.0", "--", "python", "-c", ORACLE]
    done = subprocess.run(
        command, input=json.dumps(texts), capture_output=True, text=True, check=True, timeout=600
    )
    return dict(zip(texts, json.loads(done.stdout), strict=True))


def test_identifiers_are_read_as_docker_image_py_reads_them() -> None:
    """Good and bad ones, their normal form, registry and repository."""
    theirs = _theirs(_texts())
    good = sum(read is not None for read in theirs.values())
    assert good > 1000
    different = [(text, _ours(text), read) for text, read in theirs.items() if _ours(text) != read]
    assert different == []
