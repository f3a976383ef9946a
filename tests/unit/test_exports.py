"""What `import taskimage` offers, and what it costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import taskimage
from taskimage.model import errors

# Each takes longer to import than everything that `Image` needs.
HEAVY = {"typing", "pathlib", "json", "hashlib", "yaml", "marshmallow", "urllib3", "rich", "uv", "packaging", "importlib.metadata"}  # fmt: skip


def test_names_are_a_promise() -> None:
    """Removing one breaks other people's programs: change this list with care."""
    assert set(taskimage.__all__) == {
        *(
            "Image",
            "ImageConfig",
            "ImageSpec",
            "Reference",
            "Lock",
            "lock",
            "pin",
            "publish",
            "build",
            "__version__",
        ),
        *errors.__all__,
    }
    assert dir(taskimage) == sorted(taskimage.__all__)


@pytest.mark.parametrize("name", taskimage.__all__)
def test_every_name_is_there(name: str) -> None:
    """Asking for it imports its module, and asking again gives the same."""
    assert getattr(taskimage, name) is getattr(taskimage, name)


def test_what_is_not_offered_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="'taskimage' has no attribute 'nonsense'"):
        importlib.import_module("taskimage").nonsense  # noqa: B018


def test_star_import_gives_all() -> None:
    """``__all__`` holds for lazy names too."""
    space: dict[str, object] = {}
    exec("from taskimage import *", space)  # noqa: S102 - the statement is what is tested
    assert space.keys() >= set(taskimage.__all__)


def _imported(statement: str) -> set[str]:
    """The modules that ``statement`` loads in a new interpreter."""
    program = f"import sys, json; before = set(sys.modules); {statement}; names = set(sys.modules) - before; "
    program += "import json; print(json.dumps(sorted(names)))"
    program = program.replace("import sys, json;", "import sys;", 1)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def test_image_imports_in_no_time() -> None:
    """Fewer than 60 modules beyond a bare interpreter's, none of them heavy."""
    modules = _imported("from taskimage import Image")
    assert len(modules) < 60
    assert not modules & HEAVY


def test_the_package_imports_nothing() -> None:
    """Names cost when they are used."""
    assert _imported("import taskimage") <= {"taskimage", "__future__"}
