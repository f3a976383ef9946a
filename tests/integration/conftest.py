"""The quickstart image, built once for all tests that look at it."""

from __future__ import annotations

import pytest
from tests.command import SPEC, Command, Quickstart


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    """The quickstart, built from its lock and an empty store."""
    command = Command(tmp_path_factory.mktemp("quickstart") / "home")
    return Quickstart(command, command.succeed("build", "--locked", str(SPEC)).strip())
