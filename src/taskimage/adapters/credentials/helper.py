"""Credential helpers: programs ``docker-credential-NAME`` that keep credentials, or make them.

The protocol is that of docker-credential-helpers: an action as the argument, a server or JSON on standard
input, JSON on standard output. What a helper says when it fails is never shown: it may hold a secret.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from taskimage.model.errors import BadInput, NotAllowed, NotFound, Unreachable
from taskimage.model.value import dataclass

__all__ = ["Helper"]

# Seconds. Somebody may have to unlock a keychain in that time.
_PATIENCE: Final = 30.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_NO_ENTRY: Final = b"credentials not found in native keychain"


@dataclass(frozen=True, slots=True)
class Helper:
    """The helper ``name``, found on the PATH of ``environ`` and run with it.

    Every method raises BadInput (no name of a helper), NotFound (not installed), NotAllowed (it failed) and
    Unreachable (it did not end in time).
    """

    name: str
    environ: Mapping[str, str]

    @property
    def program(self) -> str:
        """The file name of the program."""
        return f"docker-credential-{self.name}"

    def get(self, server: str) -> tuple[str, str] | None:
        """User and secret for ``server``, or None when it has none."""
        code, answer = self._run("get", server.encode())
        if code:
            if _NO_ENTRY in answer:
                return None
            raise self._failed("get", code)
        try:
            document = json.loads(answer)
            username, secret = document["Username"], document["Secret"]
        except (ValueError, LookupError, TypeError, RecursionError):
            username = secret = None
        if not isinstance(username, str) or not isinstance(secret, str):
            raise NotAllowed(f"helper {self.program} answered what is no credential")
        return (username, secret) if secret else None

    def store(self, server: str, username: str, secret: str) -> None:
        """Have it keep ``username`` and ``secret`` for ``server``."""
        document = {"ServerURL": server, "Username": username, "Secret": secret}
        code, _ = self._run("store", json.dumps(document).encode())
        if code:
            raise self._failed("store", code)

    def erase(self, server: str) -> None:
        """Have it forget what it has for ``server``."""
        code, answer = self._run("erase", server.encode())
        if code and _NO_ENTRY not in answer:
            raise self._failed("erase", code)

    def _failed(self, action: str, code: int) -> NotAllowed:
        return NotAllowed(
            f"helper {self.program} failed (exit code {code})",
            hint=f"its own words may hold a secret; for them, run: {self.program} {action}",
        )

    def _run(self, action: str, told: bytes) -> tuple[int, bytes]:
        """Its exit code and what it prints."""
        import subprocess

        program = self._found()
        try:
            with subprocess.Popen(
                [program, action], env=dict(self.environ),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            ) as process:  # fmt: skip
                try:
                    answer, _ = process.communicate(told, timeout=_PATIENCE)
                except subprocess.TimeoutExpired:
                    # Nothing more is read, since what it started itself may hold its output open.
                    process.kill()
                    raise Unreachable(
                        f"helper {self.program} did not answer in {_PATIENCE:g} seconds",
                        hint=f"see whether it waits for something: {self.program} {action}",
                    ) from None
        except OSError as error:
            raise NotAllowed(f"helper {self.program} cannot be run: {error.strerror}") from error
        return process.returncode, answer

    def _found(self) -> str:
        if not _NAME.match(self.name):
            raise BadInput(f"{self.name!r:.100} is not the name of a credential helper")
        found = shutil.which(self.program, path=self.environ.get("PATH", os.defpath))
        # A folder of PATH that depends on where one stands is no place for secrets.
        if found is None or not Path(found).is_absolute():
            raise NotFound(
                f"helper {self.program} is not installed", hint="install it, or name another in config.json"
            )
        return found
