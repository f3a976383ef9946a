"""What `import flytekit` does with us: it costs little, it never fails, and nobody's builder changes unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.flytekits import Project

pytestmark = pytest.mark.integration

# What the plug-in imports beyond what flytekit does. Each costs every `import flytekit`: change this with care.
MODULES = {
    "taskimage",
    "taskimage.adapters",
    "taskimage.adapters.userfolders",
    "taskimage.flyte",
    "taskimage.flyte.plugin",
    "taskimage.model",
    "taskimage.model.counterpart",
}

# flytekit without plug-ins, and then ours.
_APART = """\
import importlib.metadata, json, sys
found = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **asked: [] if asked == {"group": "flytekit.plugins"} else found(**asked)
import flytekit
from flytekit.image_spec.image_spec import ImageBuildEngine as Engine
"""
_ADDED = (
    _APART
    + "before = set(sys.modules)\nimport taskimage.flyte.plugin\nprint(json.dumps(sorted(set(sys.modules) - before)))"
)
_CHOSEN = "from flytekit import ImageSpec; print(ImageSpec().builder, ImageSpec(builder='taskimage').builder)"
_ASKED = """\
import taskimage.flyte.plugin
builder, _ = Engine.get_registry()["taskimage"]
for ask in (builder.should_build, builder.build_image):
    try:
        ask(flytekit.ImageSpec(builder="taskimage"))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def with_docker(project: Project) -> str:
    """A PATH that has a program of this name."""
    docker = project.write("bin/docker", "#!/bin/sh\n")
    docker.chmod(0o755)
    return f"{project.environ['PATH']}:{docker.parent}"


def test_the_plug_in_imports_little(project: Project) -> None:
    assert set(json.loads(project.python(_ADDED))) == MODULES


def test_it_takes_over_only_where_docker_is_missing_or_a_setting_says_so(
    project: Project, with_docker: str
) -> None:
    assert project.python(_CHOSEN) == "taskimage taskimage"
    assert project.python(_CHOSEN, PATH=with_docker) == "default taskimage"
    assert project.python(_CHOSEN, PATH=with_docker, TASKIMAGE_FLYTEKIT="default") == "taskimage taskimage"
    settings = Path(project.environ["XDG_CONFIG_HOME"]) / "taskimage" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('flytekit = "default"\n')
    assert project.python(_CHOSEN, PATH=with_docker) == "taskimage taskimage"


def test_builders_that_somebody_installed_go_first(project: Project) -> None:
    """Without docker ours stands before flytekit's own, and behind envd's and Union's."""
    program = (
        _APART
        + "import taskimage.flyte.plugin\nprint(json.dumps({name: rank for name, (_, rank) in Engine.get_registry().items()}))"
    )
    ranks = json.loads(project.python(program))
    assert max(ranks["default"], ranks["noop"]) < ranks["taskimage"] < 5


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("flytekit.__version__ = '1.14.9'", "flytekit 1.14.9 is too old"),
        ("flytekit.__version__ = '1.17.0b1'", "flytekit 1.17.0b1 is newer than"),
        ("del flytekit.__version__", "cannot work with this flytekit: AttributeError"),
        ("import os; os.environ['TASKIMAGE_FLYTEKIT'] = 'yes'", "is 'yes'; wanted 'default'"),
    ],
)
def test_what_is_wrong_is_told_when_an_image_is_asked_for(project: Project, before: str, told: str) -> None:
    answers = project.python(f"{_APART}\n{before}\n{_ASKED}").splitlines()
    assert [answer.split()[0] for answer in answers if told in answer] == ["ClickException"] * 2


def test_a_flytekit_with_no_place_for_builders_is_imported_all_the_same(project: Project) -> None:
    broken = f"{_APART}\ndel Engine.register\nimport taskimage.flyte.plugin\nprint('imported')"
    assert project.python(broken) == "imported"


def test_settings_that_cannot_be_read_do_not_stop_flytekit(project: Project) -> None:
    settings = Path(project.environ["XDG_CONFIG_HOME"]) / "taskimage" / "config.toml"
    settings.parent.mkdir()
    settings.write_text("flytekit = default\n")
    assert project.python("import flytekit; print('imported')") == "imported"


def test_our_image_is_one_of_flytekits(project: Project) -> None:
    """Its configuration takes ours, whichever was imported first, and equal ones are equal from both sides."""
    program = """\
{}
ours, theirs = Image("a", "h/b", tag="v1"), flytekit.configuration.Image("a", "h/b", tag="v1")
assert isinstance(ours, flytekit.configuration.Image)
assert ours == theirs and theirs == ours and hash(ours) == hash(theirs)
assert ours != flytekit.configuration.Image("a", "h/b", tag="v2")
config = flytekit.configuration.ImageConfig.create_from(default_image=ours, other_images=[theirs])
print(config.default_image.full)
"""
    imports = ("import flytekit.configuration", "from taskimage import Image")
    for order in (imports, imports[::-1]):
        assert project.python(program.format("\n".join(order))) == "h/b:v1"
