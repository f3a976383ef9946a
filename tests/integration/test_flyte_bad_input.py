"""What is wrong surfaces through `pyflyte` as one message, and no task is registered with an image that is not there."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.case import Case
from tests.dockerregistry import docker_registry, with_users
from tests.flytekits import VERSIONS, Flytekit, Project, install, project_of, workflow
from tests.repositories import CANARY

from taskimage.testing import Registry

pytestmark = pytest.mark.integration

_PACKAGE = ("--pkgs", "wf", "package", "-f", "-o", "p.tgz")
_COMMANDS = (
    _PACKAGE,
    ("--pkgs", "wf", "serialize", "workflows", "-f", "out"),
    ("register", "--dry-run", "-p", "p", "-d", "d", "-v", "v1", "--copy", "none", "wf"),
)

# A machine on which nothing can be run in an image: nobody is root there, and nobody makes a user namespace.
_CONFINED = (
    "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns", "--dev-bind", "/", "/", "--",
)  # fmt: skip


def fails(project: Project, code: int, *words: str, program: Sequence[str] = ("pyflyte",)) -> str:
    """The one message of a `pyflyte` that fails with ``code``, and leaves nothing that could be registered."""
    done = project(*program, *words, COLUMNS="500")
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert len(re.findall(r"^(?:error: |Error: |.*─ Error ─)", said, re.MULTILINE)) == 1, said
    assert "Successfully" not in said
    assert not (project.folder / "p.tgz").exists()
    assert not list(project.folder.glob("out/*"))
    return said


@pytest.fixture(scope="module")
def too_old(tmp_path_factory: pytest.TempPathFactory) -> Flytekit:
    return install("1.14.9", tmp_path_factory.mktemp("old") / "flytekit")


@pytest.fixture(scope="module")
def too_new(tmp_path_factory: pytest.TempPathFactory) -> Flytekit:
    """The newest that there is, under a number that no published one has yet."""
    made = install(VERSIONS[-1], tmp_path_factory.mktemp("new") / "flytekit")
    (told,) = made.folder.glob("lib/*/site-packages/flytekit/_version.py")
    told.unlink()  # its bytes may be those of uv's cache
    told.write_text('__version__ = version = "1.17.0"\n')
    return made


@pytest.mark.parametrize(
    ("name", "told"),
    [("too_old", "1.14.9 is too old"), ("too_new", "1.17.0 is newer than the image builder")],
)
def test_a_flytekit_that_is_not_served_is_told_and_works_without_us(
    request: pytest.FixtureRequest, case: Case, name: str, told: str
) -> None:
    """Its version is what an image's build fails with; what asks for no image is packaged as ever."""
    project = project_of(case, request.getfixturevalue(name))
    project.write(
        "wf/flow.py", "from flytekit import task\n\n\n@task(container_image='a:1')\ndef t() -> None: ...\n"
    )
    project.succeed("pyflyte", *_PACKAGE)
    (project.folder / "p.tgz").unlink()
    project.write("wf/flow.py", workflow(registry="127.0.0.1:1", builder_options=None))
    assert told in fails(project, 1, *_PACKAGE)


def test_no_command_registers_what_is_for_no_registry(project: Project) -> None:
    project.write("wf/flow.py", workflow())
    (project.folder / "out").mkdir()
    for words in _COMMANDS:
        assert "for no registry" in fails(project, 2, *words)


def test_a_registry_that_wants_a_login_is_told_and_serves_after_it(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with docker_registry(folder, **with_users(folder)) as registry:
        project.write("wf/flow.py", workflow(registry=registry.host))
        assert f"taskimage login {registry.host}" in fails(project, 4, *_PACKAGE)
        login = ("login", registry.host, "-u", "ada", "--password-stdin")
        project.succeed("taskimage", *login, stdin=CANARY)
        project.succeed("pyflyte", *_PACKAGE)
        (image,) = project.images(project.folder / "p.tgz").values()
        assert image.startswith(f"{registry.host}/demo@sha256:")


def test_a_registry_that_does_not_answer_is_told(project: Project) -> None:
    with socket.socket() as nobody:  # bound, so that nobody else is there, and not listening
        nobody.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        project.write("wf/flow.py", workflow(registry=host))
        assert host in fails(project, 5, *_PACKAGE)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


def test_commands_are_told_where_nothing_can_run_them(project: Project, registry: Registry) -> None:
    project.write("wf/flow.py", workflow(registry=registry.host, commands=["true"]))
    pyflyte = project.flytekit.program("pyflyte")
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("needs bwrap, which takes user namespaces away")
    said = fails(project, 7, *_PACKAGE, program=(bwrap, *_CONFINED, pyflyte))
    assert "no sandbox works on this host" in said
    assert "hint: install bubblewrap" in said
    assert registry.blobs == {}
