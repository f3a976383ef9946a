"""A person's home with credentials in it, and credential helpers that are programs, for tests."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from taskimage.adapters.credentials import Found, Keychain

# Keeps what it is told in one file, and writes a line for each time it is asked.
_HELPER = """\
#!{python} -SE
import json, pathlib, sys
kept, calls, action, told = pathlib.Path({kept!r}), pathlib.Path({calls!r}), sys.argv[1], sys.stdin.read()
entries = json.loads(kept.read_text())
with calls.open("a") as file:
    print(action, json.loads(told)["ServerURL"] if action == "store" else told, file=file)
if action == "store":
    entry = json.loads(told)
    entries[entry.pop("ServerURL")] = entry
elif told not in entries:
    print("credentials not found in native keychain")
    sys.exit(1)
elif action == "erase":
    del entries[told]
else:
    print(json.dumps({{"ServerURL": told, **entries[told]}}))
kept.write_text(json.dumps(entries))
"""


def auth(username: str, password: str) -> dict[str, str]:
    """An entry of ``auths``."""
    return {"auth": b64encode(f"{username}:{password}".encode()).decode()}


@dataclass(frozen=True)
class Home:
    """A home folder that the environment names, and a folder of programs, which are all that there are."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        """What a process in this home has; no credential of this machine is in reach."""
        self._programs.mkdir(parents=True, exist_ok=True)
        return {
            "HOME": str(self.root),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "PATH": str(self._programs),
        }

    @property
    def docker_config(self) -> Path:
        """Docker's file."""
        return self.root / ".docker" / "config.json"

    def docker(self, **document: object) -> Path:
        """Docker's file, with this in it."""
        return self.write(".docker/config.json", json.dumps(document))

    def write(self, name: str, text: str) -> Path:
        """A file below the home."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def program(self, name: str, text: str) -> Path:
        """A program on the PATH."""
        self._programs.mkdir(parents=True, exist_ok=True)
        path = self.write(str((self._programs / name).relative_to(self.root)), text)
        path.chmod(0o755)
        return path

    def helper(self, name: str, **entries: tuple[str, str]) -> None:
        """A credential helper that holds user and secret for servers."""
        kept = {server: {"Username": user, "Secret": secret} for server, (user, secret) in entries.items()}
        path = self.write(f"{name}.kept", json.dumps(kept))
        text = _HELPER.format(python=sys.executable, kept=str(path), calls=str(self.root / f"{name}.calls"))
        self.program(f"docker-credential-{name}", text)

    def kept(self, name: str) -> dict[str, dict[str, str]]:
        """What the helper holds now."""
        kept: dict[str, dict[str, str]] = json.loads((self.root / f"{name}.kept").read_text(encoding="utf-8"))
        return kept

    def calls(self, name: str) -> list[str]:
        """What the helper was asked, a line for each time."""
        path = self.root / f"{name}.calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def find(self, registry: str, repository: str = "", **environ: str) -> Found:
        """What a new keychain finds."""
        return Keychain({**self.environ, **environ}).find(registry, repository)

    def login(self, registry: str, repository: str = "", **environ: str) -> tuple[str, str] | None:
        """User and secret that a new keychain finds."""
        found = self.find(registry, repository, **environ).credential
        return (found.username, found.secret) if found else None

    @property
    def _programs(self) -> Path:
        return self.root / "programs"
