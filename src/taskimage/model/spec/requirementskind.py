"""What a spec's ``requirements`` names, told by the file's name as flytekit tells it."""

from __future__ import annotations

from enum import Enum
from pathlib import PurePosixPath

__all__ = ["RequirementsKind"]


class RequirementsKind(Enum):
    """One kind of file that says which Python packages are wanted."""

    REQUIREMENTS = "requirements.txt"
    PYPROJECT = "pyproject.toml"
    PYLOCK = "pylock.toml"
    UV = "uv.lock"
    POETRY = "poetry.lock"

    @classmethod
    def of(cls, name: str) -> RequirementsKind | None:
        """The kind of the file ``name``; None for a lock or project file of another tool."""
        path = PurePosixPath(name)
        if path.name in {cls.PYPROJECT.value, cls.UV.value, cls.POETRY.value}:
            return cls(path.name)
        # PEP 751, "File Name": pylock.toml, or pylock.NAME.toml.
        if path.name == cls.PYLOCK.value or (path.match("pylock.*.toml") and path.name.count(".") == 2):
            return cls.PYLOCK
        return None if path.suffix in {".lock", ".toml"} else cls.REQUIREMENTS

    @property
    def is_lock(self) -> bool:
        """Whether it names every package with its version and the digests of its files."""
        return self in {RequirementsKind.PYLOCK, RequirementsKind.UV, RequirementsKind.POETRY}

    @property
    def has_extras(self) -> bool:
        """Whether it can have extras and groups to choose from."""
        return self is not RequirementsKind.REQUIREMENTS
