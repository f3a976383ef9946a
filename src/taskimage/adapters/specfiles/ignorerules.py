"""Which files of a ``source_root`` are left out: git's rules, a ``.dockerignore``, and flytekit's standard ones."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath

from taskimage.adapters.specfiles.checkedfile import read_regular
from taskimage.adapters.userfolders import configuration, home
from taskimage.adapters.witness import lost_sight, saw
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass
from taskimage.transform.dockerignore import DockerIgnore

__all__ = ["IgnoreRules", "read_dockerignore"]

# flytekit, tools/ignore.py; the asterisk matches slashes too.
_STANDARD = ("*.pyc", ".cache", ".cache/*", "__pycache__/*", "**/__pycache__/*")


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one folder, as flytekit's IgnoreGroup of GitIgnore, DockerIgnore and StandardIgnore has them."""

    git: AbstractSet[str]
    docker: DockerIgnore

    @classmethod
    def read(cls, folder: Path) -> IgnoreRules:
        """The rules that hold in ``folder``. Where git is missing or knows no repository, it has none."""
        return cls(_ignored_by_git(folder), _docker_ignore(folder / ".dockerignore"))

    def ignores(self, path: str) -> bool:
        """Whether the file ``path`` is left out."""
        return (
            PurePosixPath(path).as_posix() in self.git
            or self.docker.ignores(path)
            or any(fnmatch.fnmatchcase(path, pattern) for pattern in _STANDARD)
        )


# By these git is told of files that are not where it looks by itself.
_GIT_ELSEWHERE = ("GIT_CONFIG", "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
# What names a further file, in git's settings.
_NAMES_FILES = re.compile(rb"excludesfile|\[include", re.IGNORECASE)


def _ignored_by_git(folder: Path) -> AbstractSet[str]:
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None:
        lost_sight()  # of when it comes to be there
        return frozenset()
    # A repository may name a program to run as its fsmonitor; a listing needs none.
    command = [git, "-c", "core.fsmonitor=false", "ls-files", "-io", "--exclude-standard"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    _watch_git(folder)
    return frozenset(os.fsdecode(done.stdout).split("\n")) if done.returncode == 0 else frozenset()


def _watch_git(folder: Path) -> None:
    """Look at what git's rules for ``folder`` depend on, but for the ``.gitignore`` files below it."""
    settings = [
        home(os.environ) / ".gitconfig",
        configuration(os.environ) / "git" / "config",
        Path("/etc/gitconfig"),
    ]
    if any(name.startswith(_GIT_ELSEWHERE) for name in os.environ):
        lost_sight()
    saw(configuration(os.environ) / "git" / "ignore")
    for above in (folder.absolute(), *folder.absolute().parents):
        repository = above / ".git"
        for path in (above / ".gitignore", repository, repository / "index", repository / "info" / "exclude"):
            saw(path)
        if repository.exists():
            if not repository.is_dir():
                lost_sight()  # of a worktree, or a submodule: its files are elsewhere
            settings += [repository / "config", repository / "config.worktree"]
            break
    for path in settings:
        saw(path)
        with contextlib.suppress(OSError):
            if _NAMES_FILES.search(path.read_bytes()):
                lost_sight()


def read_dockerignore(path: Path) -> DockerIgnore:
    """The rules of a ``.dockerignore``. Raises NotFound, NotAllowed, BadInput."""
    try:
        return DockerIgnore.parse(read_regular(path).decode(), where=str(path))
    except UnicodeDecodeError as error:
        raise BadInput("not UTF-8", where=str(path)) from error


def _docker_ignore(path: Path) -> DockerIgnore:
    saw(path)
    return read_dockerignore(path) if path.is_file() else DockerIgnore()
