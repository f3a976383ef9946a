"""`Image`, `ImageConfig` and templates give what flytekit's give, but for the deviations that are chosen.

The same questions are put to flytekit, and to us on marshmallow 3 (beside flytekit) and 4.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import uv

import taskimage

pytestmark = pytest.mark.integration

Question = list[Any]
Answer = dict[str, Any]

PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("from-flytekit.md", "flytekit.md")]
ORACLE = Path(__file__).with_name("flytekit_image_oracle.py")
SOURCE = Path(taskimage.__file__).parent.parent
DIGEST = "sha256:" + "0a" * 32

FILES = {
    "c.yaml": "admin: {x: 1}\nimages:\n  Spark: h/spark\n  b: h/b:1\n  c: h/c@" + DIGEST,
    "none.yaml": "admin: {x: 1}",
    "c.ini": "[DEFAULT]\nHost = h\n[images]\nSpark = %(host)s/spark:2\nb = h/b\n",
    "none.ini": "[other]\na = b\n",
    "list.yaml": "images: [a]",
    "number.yaml": "images: {a: 1}",
    "broken.ini": "a = 1",
    "interpolated.ini": "[images]\na = %(b)s",
    "home/.flyte/config": "[images]\nhome = h/home:1\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with configuration files, and a home with one more."""
    folder = tmp_path_factory.mktemp("work")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def _python(folder: Path, *arguments: str, packages: Sequence[str], given: str, **environment: str) -> str:
    """What python prints to what it is ``given``, in an environment with ``packages``."""
    uv_command = uv.find_uv_bin()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLYTE", "TASKIMAGE"))}
    # uv's own cache stays where it is, though the home is another.
    cache = subprocess.run([uv_command, "cache", "dir"], check=True, capture_output=True, text=True).stdout
    variables = {
        "UV_CACHE_DIR": cache.strip(),
        "HOME": str(folder / "home"),
        "FLYTE_INTERNAL_IMAGE": "h/internal:v0",
    }
    command = [uv_command, "run", "--quiet", "--no-project", "--no-config", "--no-python-downloads"]
    command += ["--python", sys.executable, *(f"--with={package}" for package in packages)]
    done = subprocess.run(
        [*command, "--", "python", *arguments],
        input=given, capture_output=True, text=True, check=False, timeout=600,
        cwd=folder, env={**kept, **variables, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _answers(folder: Path, library: str, *packages: str, **environment: str) -> dict[str, Answer]:
    """What ``library`` says to every question, in an environment with ``packages``."""
    questions = _questions()
    given = json.dumps(questions)
    printed = _python(folder, str(ORACLE), library, packages=packages, given=given, **environment)
    return dict(zip(map(json.dumps, questions), json.loads(printed), strict=True))


VERSIONS = ("1.15.4", "1.16.31")


@pytest.fixture(scope="module", params=VERSIONS)
def theirs(request: pytest.FixtureRequest, folder: Path) -> dict[str, Answer]:
    """flytekit's answers."""
    return _answers(folder, "flytekit", f"flytekit=={request.param}")


@pytest.fixture(scope="module", params=["marshmallow>=3.20,<4", "marshmallow>=4"])
def ours(request: pytest.FixtureRequest, folder: Path) -> dict[str, Answer]:
    """Our answers, in an environment with only what this needs."""
    return _answers(folder, "taskimage", request.param, "pyyaml", PYTHONPATH=str(SOURCE))


IDENTIFIERS = [
    *("app:v1", "ghcr.io/org/app:v1", "localhost:5000/a/b:v1", "a:b:c", "a/b:c/d:e", "[::1]:5000/app:v1"),
    *(f"app@{DIGEST}", f"localhost:5000/app@{DIGEST}", "xyz.com/abc@sha256:26c68657", "a@b@c"),
    *(
        "app",
        "localhost:5000/app",
        "a/b",
        "",
        ":",
        "@",
        "/",
        "a:",
        ":a",
        "a@",
        "@a",
        "a/:b",
        "My App:v1",
        "ä:ö",
    ),
]
SCALARS = [1, 1.5, -0.0, 10**30, "", "x", 'ä\n"\\\u2028', "😀", None]


# By deviation: the question, flytekit's answer, and ours. A type stands for its error.
DEVIATIONS: dict[str, tuple[Question, Any, Any]] = {
    "1 a tag never stays in the fqn": (
        ["look_up", f"h/a:v1@{DIGEST}"],
        {"class": "Image", "name": "n", "fqn": "h/a:v1", "tag": None, "digest": DIGEST},
        {"class": "Image", "name": "n", "fqn": "h/a", "tag": None, "digest": DIGEST},
    ),
    "2 full with neither is the fqn": (["template", "{{.image.x}}", "", {"x": "h/a"}], "h/a:None", "h/a"),
    "3 nothing comes behind a digest": (
        ["template", "{{.image.x}}:v2", "", {"x": f"h/a@{DIGEST}"}],
        f"h/a@{DIGEST}:v2",
        AssertionError,
    ),
    "5 a list is no text": (
        ["from_dict", "Image", {"name": "a", "fqn": ["b"]}, {}],
        {"class": "Image", "name": "a", "fqn": "['b']", "tag": None, "digest": None},
        TypeError,
    ),
    "5 a bool is no text": (
        ["from_json", "Image", '{"name": "a", "fqn": true}', {}],
        {"class": "Image", "name": "a", "fqn": "True", "tag": None, "digest": None},
        TypeError,
    ),
    "6 a missing version is not another image's": (
        ["template", "{{.image.x.fqn}}:{{.image.x.version}}", "h/d:v9", {"x": "n/o"}],
        "n/o:v9",
        AssertionError,
    ),
    "7 a missing file is no identifier": (
        ["look_up", "missing.yaml", True],
        {"class": "Image", "name": "n", "fqn": "missing.yaml", "tag": None, "digest": None},
        AssertionError,
    ),
}

IMAGE = {"name": "a", "fqn": "h/b", "tag": "v1"}
PINNED = {"name": "p", "fqn": "h/p", "digest": DIGEST}
CONFIG = {"default_image": IMAGE, "images": [IMAGE, PINNED]}
BARE = {"name": "a", "fqn": "b"}

MEMBERS: list[Any] = [
    *(
        IMAGE,
        PINNED,
        {**BARE, "tag": ""},
        {**BARE, "digest": "d"},
        {**BARE, "tag": 1},
        {"name": 1, "fqn": None, "tag": "t"},
    ),
    *({**BARE, "tag": tag, "digest": digest} for tag in ("", "t") for digest in ("", "d")),
]
IMAGE_DOCUMENTS: list[Any] = [
    *(
        IMAGE,
        PINNED,
        {},
        None,
        {"name": "a"},
        {"fqn": "b"},
        [],
        "x",
        1,
        {**IMAGE, "x": 1},
        {**IMAGE, "digest": "d"},
    ),
    *({"name": None, "fqn": 1}, {**BARE, "tag": None}, {"name": 1, "fqn": 2.5}, {"name": None}),
    *({**IMAGE, "fqn": value} for value in SCALARS),
    *({**IMAGE, "tag": value} for value in SCALARS),
]
CONFIG_DOCUMENTS: list[Any] = [
    *(
        CONFIG,
        {},
        None,
        {"images": []},
        {"images": None},
        {"default_image": {}},
        {"images": [{}]},
        {"images": [None]},
    ),
    *({"x": 1}, {"images": [BARE], "default_image": {"name": 1, "fqn": 2, "z": 3}}),
]
JSON_TEXTS = [
    "",
    "{",
    '{"name": NaN, "fqn": 1e400}',
    "null",
    "[]",
    '"x"',
    "\ufeff{}",
    '{"name": "a", "name": "b", "fqn": 0}',
]
TO_JSON: list[dict[str, Any]] = [
    *(
        {},
        {"indent": 2},
        {"indent": "\t"},
        {"separators": [",", ":"]},
        {"sort_keys": True},
        {"ensure_ascii": False},
    ),
    *({"skipkeys": True}, {"allow_nan": False}, {"check_circular": False}, {"cls": None}, {"bogus": 1}),
]
SCHEMAS: list[dict[str, Any]] = [
    *(
        {},
        {"infer_missing": True},
        {"partial": True},
        {"partial": ["name"]},
        {"partial": []},
        {"context": {"a": 1}},
    ),
    *({"unknown": "exclude"}, {"unknown": "include"}, {"unknown": "raise"}, {"context": None}),
    *({"only": ["name"]}, {"only": ["name", "fqn"]}, {"only": ["zzz"]}, {"only": []}),
    *({"exclude": ["tag"]}, {"exclude": ["zzz"]}, {"load_only": ["tag"]}, {"dump_only": ["tag"]}),
    {"infer_missing": True, "partial": True},
]
HOW: list[dict[str, Any]] = [{}, {"partial": True}, {"unknown": "exclude"}, {"many": True}]
VALUES = [
    *([], ["h/a:1"], ["x=h/a:1"], ["default=h/a:1"], ["h/a:1", "h/b:2"], ["x=h/a:1", "x=h/b:2"], ["a=b=c:1"]),
    *(["=h/a:1"], ["x=h/a"], ["x="], ["h/a:1", "default=h/b:2"], ["h/a:1", "y=h/b@" + DIGEST]),
]
TEMPLATES = [
    *(
        None,
        "",
        "h/a:1",
        "{{.image.default}}",
        "{{ .images.spark.fqn }}:{{.IMAGE.default.version}}",
        "{{.image}}",
    ),
    *(
        "{{.image.spark.fqn}}-x:{{.image.spark.version}}-y",
        "{{.image.x}}",
        "{{.image.spark.tag}}",
        "{{.inputs.x}}",
    ),
    *(
        "{{.image.spark.FQN}}",
        "{{.image.pin_1}}",
        "{{.image.pin_1.fqn}}:v",
        "{{.image.spark.fqn.x}}",
        "{{.image.Spark}}",
    ),
    *(
        "{{.image.none.fqn}}:{{.image.spark.version}}",
        "{{.image.spark}}{{.image.spark}}",
        "a{{\t.image.spark\n}}b",
    ),
]
SIGNATURES = {
    "Image": (
        "__init__",
        "from_dict",
        "from_json",
        "look_up_image_info",
        "schema",
        "to_dict",
        "to_json",
    ),
    "ImageConfig": (
        "__init__",
        "auto",
        "auto_default_image",
        "create_from",
        "find_image",
        "from_dict",
        "from_images",
        "from_json",
        "schema",
        "to_dict",
        "to_json",
        "validate_image",
    ),
}
NUMBERS = '{"name": 1.50, "fqn": 7, "tag": NaN}'
HOOKS = [
    [],
    ["parse_float"],
    ["parse_int"],
    ["parse_constant"],
    ["parse_float", "parse_int", "parse_constant"],
]
ODD = ["uuid", "time", "decimal", "enum", "tuple", "set", "mapping", "bytes", "number", "bool", "nan"]
IMAGES = {"spark": "h/s:2", "pin_1": "h:5000/b@" + DIGEST, "none": "h/n"}


def _written() -> Iterator[Question]:
    """A question for each promise."""
    yield from (["look_up", text, allowed] for text in IDENTIFIERS for allowed in (True, False))
    yield from (["members", fields] for fields in MEMBERS)
    yield from (["signature", kind, method] for kind, methods in SIGNATURES.items() for method in methods)
    yield from (["copies", kvs] for kvs in (IMAGE, PINNED, BARE))
    yield from (["hooks", NUMBERS, *names] for names in HOOKS)
    yield from (
        ["odd", name, options, seen]
        for name, options, seen in product(ODD, ({}, {"indent": 1}, {"allow_nan": False}), (True, False))
    )
    documents: list[Any]
    for kind, documents in (("Image", IMAGE_DOCUMENTS), ("ImageConfig", CONFIG_DOCUMENTS)):
        for document, infer in product(documents, (True, False)):
            yield ["from_dict", kind, document, {"infer_missing": infer}]
            yield ["from_json", kind, json.dumps(document), {"infer_missing": infer}]
        yield from (["to_dict", kind, documents[0], arguments] for arguments in ([], [True], [False]))
        yield from (["to_json", kind, documents[0], options] for options in TO_JSON)
        yield from (
            ["load", kind, *asked]
            for asked in product(SCHEMAS, documents, HOW)
            if kind == "Image" or "only" not in asked[0]
        )
    yield from (["to_json", "Image", {**IMAGE, "fqn": 'ä"\\\n\u2028😀'}, options] for options in TO_JSON)
    yield from (["from_json", "Image", text, {}] for text in JSON_TEXTS)
    yield from (["from_json", "Image", "{}", options] for options in ({"bogus": 1}, {"strict": False}))
    yield from (["dump", "Image", options, IMAGE] for options in [*SCHEMAS, {"many": True}])
    yield ["dump", "ImageConfig", {}, CONFIG]
    yield ["load", "Image", {"many": True}, [IMAGE, PINNED], {}]
    yield from (["validate_image", values] for values in VALUES)
    yield from (["from_images", *asked] for asked in product(("h/a:1", "", "h/a"), (None, {}, {"x": "h/x"})))
    yield from (["auto", *asked] for asked in product((*FILES, "missing.ini", None), (None, "h/a:1", "h/a")))
    yield from (["template", *asked, IMAGES] for asked in product(TEMPLATES, ("h/a:1", "")))


def _drawn(count: int) -> Iterator[Question]:
    """Questions with values that nobody chose."""
    chance = random.Random(3)  # the same in every run
    pieces = [
        "a",
        "b/c",
        "/",
        ":",
        "@",
        ".",
        "v1",
        "localhost",
        ":5000",
        "sha256:",
        "0a" * 32,
        " ",
        "Ä",
        "=",
        "_",
        "-",
        "[::1]",
    ]
    keys = ["name", "fqn", "tag", "digest", "x", "Name"]

    def text() -> str:
        drawn = "".join(chance.choice(pieces) for _ in range(chance.randrange(7)))
        # tag and digest together are deviation 1
        before, at, after = drawn.rpartition("@")
        return before.replace(":", "") + at + after if at else drawn

    def kvs() -> dict[str, Any]:
        drawn = {key: chance.choice([*SCALARS, text()]) for key in keys if chance.random() < 0.6}
        return {**drawn, "name": "a", "fqn": "b"} if chance.random() < 0.6 else drawn

    for _ in range(count):
        infer, how = (
            {"infer_missing": chance.random() < 0.3},
            {"partial": chance.random() < 0.3, "unknown": "exclude"},
        )
        yield ["look_up", text(), chance.random() < 0.7]
        yield ["from_dict", "Image", kvs(), infer]
        yield ["from_dict", "ImageConfig", {"default_image": kvs(), "images": [kvs(), kvs()]}, infer]
        yield ["load", "Image", how, kvs(), {}]
        yield [
            "to_json",
            "Image",
            kvs(),
            {"indent": chance.choice([None, 0, 3]), "sort_keys": chance.random() < 0.5},
        ]
        yield ["validate_image", [text() for _ in range(chance.randrange(3))]]


def _questions() -> list[Question]:
    return [*_written(), *_drawn(300), *(question for question, _, _ in DEVIATIONS.values())]


# What it says when it stumbles over None, a list or a broken ini file is no promise.
ACCIDENTS = {"AttributeError", "MissingSectionHeaderError", "InterpolationMissingOptionError"}


def _same(mine: Answer, its: Answer) -> bool:
    """The same value and RuntimeWarnings; or an error that is also what is raised there, or ours for its accident."""
    if "error" not in its:
        return mine.get("value", mine) == its["value"] and bool(mine["warned"] == its["warned"])
    kinds = mine.get("error", [])
    return its["error"][0] in kinds or (its["error"][0] in ACCIDENTS and "TaskImageError" in kinds)


def test_the_same_questions_have_the_same_answers(ours: dict[str, Answer], theirs: dict[str, Answer]) -> None:
    """Values, error kinds, and the RuntimeWarnings' words."""
    chosen = {json.dumps(question) for question, _, _ in DEVIATIONS.values()}
    different = [
        f"{question}\n  here:  {ours[question]}\n  there: {its}"
        for question, its in theirs.items()
        if question not in chosen and not _same(ours[question], its)
    ]
    assert not different, f"{len(different)}: " + "\n".join(different[:20])


def test_schemas_warn_of_nothing_here(ours: dict[str, Answer]) -> None:
    """On marshmallow 3 and 4."""
    schemas = [answer for question, answer in ours.items() if json.loads(question)[0] in {"load", "dump"}]
    assert {name for answer in schemas for name in answer["others"]} == set()


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_each_deviation_is_one(deviation: str, ours: dict[str, Answer], theirs: dict[str, Answer]) -> None:
    """flytekit still does what we chose not to do."""
    question, flytekits, chosen = DEVIATIONS[deviation]
    mine = ours[json.dumps(question)]
    assert theirs[json.dumps(question)]["value"] == flytekits
    if isinstance(chosen, type):
        assert {chosen.__name__, "TaskImageError"} <= {*mine["error"]}
    else:
        assert mine["value"] == chosen


@pytest.mark.parametrize("identifier", ["My App:v1", "xyz.com/abc@sha256:26c68657"])
def test_what_no_registry_serves_warns_here(
    identifier: str, ours: dict[str, Answer], theirs: dict[str, Answer]
) -> None:
    """Deviation 4: the value is the same, and flytekit says nothing."""
    question = json.dumps(["look_up", identifier, True])
    assert (ours[question]["others"], theirs[question]["others"]) == (["ImageWarning"], [])
    assert ours[question]["value"] == theirs[question]["value"]


CLICK = """
import click
from click.testing import CliRunner
from taskimage import ImageConfig

@click.command()
@click.option("-i", "--image", "config", multiple=True, callback=ImageConfig.validate_image)
def main(config):
    print(*(image.full for image in config.images))

done = CliRunner().invoke(main, ["-i", "h/app:v1", "--image", "spark=h/spark:v2"])
print(done.output, end="")
done = CliRunner().invoke(main, ["-i", "h/a:v1", "-i", "h/b:v1"])
print(type(done.exception).__name__, done.exception.message)
"""


def test_images_are_named_on_a_command_line_of_click(folder: Path) -> None:
    """As the callback of an option that may be repeated."""
    printed = _python(folder, "-", packages=["click"], given=CLICK, PYTHONPATH=str(SOURCE))
    first, second = printed.splitlines()
    assert first == "h/app:v1 h/spark:v2"
    assert second.startswith("InvalidValue two default images for <Option config>: 'h/a:v1' and 'h/b:v1'")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_documentation_says_how_the_two_classes_meet(version: str, page: Path, folder: Path) -> None:
    """Class identity, and values there and back: the examples that need flytekit do what they show."""
    fences = re.findall(r"^```pycon\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    examples = "".join(fence for fence in fences if "import flytekit" in fence)
    assert "to_flytekit" in examples
    program = "import doctest, sys; test = doctest.DocTestParser().get_doctest(sys.stdin.read(), {}, 'page', None, 0); "
    program += "sys.exit(doctest.DocTestRunner().run(test).failed)"
    packages = [f"flytekit=={version}", "marshmallow<4"]
    _python(folder, "-c", program, packages=packages, given=examples, PYTHONPATH=str(SOURCE))
