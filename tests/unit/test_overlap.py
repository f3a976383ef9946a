"""Two packages with different files at one path."""

from __future__ import annotations

import pytest

from taskimage.transform.entry import Entry
from taskimage.transform.overlap import merged, relation

SITE = "opt/venv/lib/python3.11/site-packages"

PKGUTIL = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'
NAMESPACES = (
    PKGUTIL,
    f'# Copyright\n"""A namespace."""\n{PKGUTIL}'.replace('"pkgutil"', "'pkgutil'"),
    "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)  # type: ignore\n",
    "import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)\n",
    "__import__('pkg_resources').declare_namespace(__name__)\n",
    "import pkg_resources\npkg_resources.declare_namespace(__name__)\n",
    f"try:\n    __import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n    {PKGUTIL}",
)
NOTHING = ("", "# Copyright\n", '"""A docstring with \\d in it."""\n', "pass\n")
MORE = (
    f"{PKGUTIL}__version__ = '1'\n",
    f"from .core import run\n{PKGUTIL}",
    "__path__ = extend_path(__path__, 'other')\n",
    "__path__ = [\n",
    "\0",
    f"try:\n    {PKGUTIL}except Exception:\n    raise SystemExit\n",
    f"{PKGUTIL}#{'x' * (1 << 16)}",
)


def of(path: str, text: str) -> Entry:
    return Entry.file(f"{SITE}/{path}", text.encode())


@pytest.mark.parametrize("spellings", [NAMESPACES, NOTHING])
def test_modules_that_do_the_same_in_other_words_are_the_same(spellings: tuple[str, ...]) -> None:
    one, *others = (of("shared/__init__.py", text) for text in spellings)
    assert {relation(one, other) for other in others} == {"same"}


@pytest.mark.parametrize("text", MORE)
def test_a_module_that_does_more_is_another(text: str) -> None:
    assert relation(of("shared/__init__.py", PKGUTIL), of("shared/__init__.py", text)) == "clash"


def test_no_namespace_is_not_a_namespace() -> None:
    """On a base with packages of its own, only the one looks there for further parts."""
    assert relation(of("shared/__init__.py", ""), of("shared/__init__.py", PKGUTIL)) == "clash"


@pytest.mark.parametrize(
    "path",
    [
        f"{SITE}/tests/__init__.py",
        f"{SITE}/test/data/a.csv",
        f"{SITE}/docs/conf.py",
        f"{SITE}/examples/a.ipynb",
        f"{SITE}/README.md",
        f"{SITE}/LICENSE",
        f"{SITE}/requirements.txt",
        "opt/venv/LICENSE",
        "opt/venv/share/doc/a/README",
        "opt/conda/lib/python3.13/site-packages/tests/__init__.py",
    ],
)
def test_files_that_nobody_imports_may_differ(path: str) -> None:
    assert relation(Entry.file(path, b"1"), Entry.file(path, b"2")) == "stray"


@pytest.mark.parametrize(
    "path",
    [
        f"{SITE}/cv2/__init__.py",
        f"{SITE}/cv2/LICENSE.txt",
        f"{SITE}/numpy/tests/__init__.py",
        f"{SITE}/six.py",
        f"{SITE}/readme.py",
        f"{SITE}/__editable__.pth",
        f"{SITE}/libshared.so.1.2",
        f"{SITE}/_speedups.cpython-311-x86_64-linux-gnu.so",
        "opt/venv/bin/tool",
        "opt/venv/share/jupyter/kernel.json",
        "root/README.md",
    ],
)
def test_other_files_may_not(path: str) -> None:
    assert relation(Entry.file(path, b"1"), Entry.file(path, b"2")) == "clash"


def test_of_packages_in_one_layer_the_first_wins_with_its_bytecode() -> None:
    def package(name: str) -> tuple[list[Entry], list[Entry]]:
        pyc = f"{SITE}/docs/__pycache__/conf.cpython-311.pyc"
        files = [Entry.directory(f"{SITE}/docs"), of("docs/conf.py", name), of(f"{name}.py", "")]
        # The first one's source gave no bytecode.
        return files, [Entry.file(pyc, name.encode())] if name == "b" else []

    found = [entry for some in merged([package("a"), package("b")], python="3.11") for entry in some]
    assert [entry.path.removeprefix(f"{SITE}/") for entry in found] == [
        "docs",
        "docs/conf.py",
        "a.py",
        "docs",
        "b.py",
    ]
    assert found[1] == of("docs/conf.py", "a")
