"""The command against package sources on loopback, small enough that an image takes a moment to build."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pysequoia import Tsk
from tests.archives import make_deb
from tests.command import Command
from tests.sources import Archive, Index, Mirror, package

from taskimage.cli import main
from taskimage.verbs.ground import BASE

__all__ = ["Case", "check_store"]

SUITE = "bookworm"
_OPTIONS = {"taskimage": {"runtime": "none", "bytecode": False}}


class Case:
    """A folder with a spec, a store, a signed Debian archive that has the base, and a package index.

    ``demo`` is on the index and ``tool`` in the archive. Nothing in an image that is built of these can run.
    """

    def __init__(self, folder: Path, key: Tsk) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.spec_path = folder / "image.yaml"
        self.lock_path = folder / "image.lock.toml"
        self.index = Index()
        self.index.add("demo", "1.0", files={"demo.py": b"x = 1\n"})
        (folder / "mirror").mkdir()
        self.mirror = Mirror(folder / "mirror")
        self.archive = Archive(self.mirror, key)
        self.publish()
        keyring = folder / "keyring.pgp"
        keyring.write_bytes(bytes(key.extract_certificate()))
        self.environ = {
            "TASKIMAGE_HOME": str(self.home),
            "TASKIMAGE_DEBIAN_MIRROR": self.mirror.url,
            "TASKIMAGE_DEBIAN_KEYRING": str(keyring),
            "UV_DEFAULT_INDEX": self.index.url,
            "UV_HTTP_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }

    def close(self) -> None:
        """The sources are gone."""
        self.mirror.close()
        self.index.close()

    # -- what is there ---------------------------------------------------------------------------------

    def publish(
        self,
        debs: Mapping[str, bytes] | None = None,
        *,
        key: Tsk | None = None,
        versions: Mapping[str, str] | None = None,
        fields: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """The archive has the base, ``tool``, and ``debs`` in their place or beside them."""
        files = {
            **{name: make_deb({}, Package=name) for name in BASE},
            "libc6": make_deb({}, Package="libc6", Version="2.36-9"),
            "python3.11": make_deb({"usr/bin/python3.11": b""}, Package="python3.11", Version="3.11.2-6"),
            "tool": make_deb({"usr/bin/tool": b"#!/bin/sh\n"}, Package="tool"),
            **(debs or {}),
        }
        versions = {"libc6": "2.36-9", "python3.11": "3.11.2-6", **(versions or {})}
        stated = {"python3.11": {"Depends": "libc6"}, **(fields or {})}
        paragraphs = []
        for name, body in files.items():
            version = versions.get(name, "1.0-1")
            paragraphs.append(package(name, version, body, **stated.get(name, {})))
            self.mirror.write(f"pool/main/{name}_{version}.deb", body)
        self.archive.publish(SUITE, *paragraphs, key=key)
        for part in ("updates", "security"):
            self.archive.publish(f"{SUITE}-{part}", key=key)

    def publish_versions(self, versions: Mapping[str, str], **fields: Mapping[str, Any]) -> None:
        """The archive has the base, and these packages alone beside it; ``fields`` of their control files by name."""
        made = {
            name: make_deb(
                {f"usr/bin/{name}": version.encode()}, Package=name, Version=version, **fields.get(name, {})
            )
            for name, version in versions.items()
        }
        self.publish(made, versions=versions, fields=fields)

    def spec(self, **fields: Any) -> None:
        """The spec asks for ``demo`` and ``tool``, or for what ``fields`` say instead."""
        usual: dict[str, Any] = {
            "name": "demo",
            "python_version": "3.11",
            "platform": "linux/amd64",
            "packages": ["demo"],
            "apt_packages": ["tool"],
            "builder_options": _OPTIONS,
        }
        # JSON is YAML.
        self.spec_path.write_text(json.dumps({**usual, **fields}, indent=1))

    # -- what is done ----------------------------------------------------------------------------------

    @property
    def command(self) -> Command:
        """The command as a process of its own."""
        return Command(self.home, self.environ)

    def run(self, *words: str, **environ: str) -> tuple[int, str, str]:
        """What the command gives in this process: exit code, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict("os.environ", {"PATH": os.environ["PATH"], **self.environ, **environ}, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            return main(words), out.getvalue(), err.getvalue()

    def build(self, **environ: str) -> str:
        """The reference of the image, whose build succeeds."""
        code, out, err = self.run("build", str(self.spec_path), **environ)
        assert code == 0, err
        check_store(self.home)
        return out.strip()

    def lock(self) -> None:
        """The spec has a lock."""
        code, _, err = self.run("lock", str(self.spec_path))
        assert code == 0, err

    @property
    def pages(self) -> list[str]:
        """The pages of projects that the package index was asked for."""
        return [path for path in self.index.asked if path.startswith("/simple/")]

    def lock_asks_the_index_while_lists_stall(self) -> bool:
        """Whether, while the spec is locked, the package index is asked before any list of Debian's comes."""
        self.mirror.stalls = "dists"
        asked: list[bool] = []

        def watch() -> None:
            until = time.monotonic() + 20
            while not self.pages and time.monotonic() < until:
                time.sleep(0.01)
            asked.append(bool(self.pages))
            self.mirror.stalls = ""

        watching = threading.Thread(target=watch)
        watching.start()
        self.lock()
        watching.join()
        return asked == [True]

    def use_another_store(self) -> None:
        """From now on the store is an empty one."""
        self.home = self.folder / "another home"
        self.environ["TASKIMAGE_HOME"] = str(self.home)

    def fails(self, code: int, *words: str, **environ: str) -> str:
        """What standard error says of a command that fails with ``code``: by default of a build.

        Nothing else is left of it: no result, no traceback, and a store that verifies.
        """
        got, out, err = self.run(*(words or ("build", str(self.spec_path))), **environ)
        assert (got, out) == (code, ""), err
        self.check_failure(err)
        return err

    def check_failure(self, err: str) -> None:
        """What holds after every failure."""
        assert "error: " in err
        assert "Traceback" not in err
        assert "a bug in taskimage" not in err
        check_store(self.home)


def check_store(home: Path) -> None:
    """What a store promises at any time: bytes under their own digests, and nothing half-written."""
    for folder in ("inputs/sha256", "oci/blobs/sha256"):
        for path in (home / folder).glob("*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, path
    left = [path for path in (home / "tmp").rglob("*") if path.suffix != ".lock"]
    assert not left, left
