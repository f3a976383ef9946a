"""Standalone builds of CPython, from the list that uv carries with it.

uv knows an address for every build and no digest, so what the first fetch brings is believed, and its digest
goes into the lock; from then on only those bytes are.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from taskimage.adapters.http import Fetch, Http
from taskimage.adapters.store import Store
from taskimage.adapters.uvprogram import uv_program
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound, TaskImageError, Unreachable
from taskimage.model.lock import PythonPin
from taskimage.model.oci import Platform

__all__ = ["CPython"]

_MIRROR = "UV_PYTHON_INSTALL_MIRROR"
_ROOT_END = "/releases/download/"
_LARGEST = 512 << 20
# uv's names where they are not the kernel's.
_ARCHITECTURES = {
    "arm": ("armv7", "gnueabihf"), "386": ("x86", "gnu"), "ppc64le": ("powerpc64le", "gnu"),
    "riscv64": ("riscv64gc", "gnu"),
}  # fmt: skip


class CPython:
    """Finds and fetches standalone builds into ``store``.

    ``environ`` is where UV_PYTHON_INSTALL_MIRROR is looked for, which has the meaning that it has for uv: it
    takes the place of everything up to ``/releases/download``.
    """

    def __init__(self, store: Store, http: Http, *, environ: Mapping[str, str] | None = None) -> None:
        self._store = store
        self._http = http
        self._environ = os.environ if environ is None else environ

    def resolve(self, version: str, platform: Platform) -> PythonPin:
        """The newest build of ``version`` (``3.12`` or ``3.12.7``), on Linux for glibc, fetched, so that it has a digest.

        Raises NotFound, naming the versions there are, and what fetching raises.
        """
        exact, path = self._newest(version, platform)
        key = Digest.of(path.encode())
        known = self._store.record("standalone", key)
        if known is None:
            with self._where_else():
                data = self._http.get(self._url(path), limit=_LARGEST)
            known = {"digest": str(Digest.of(data)), "size": len(data)}
            with self._store.pending_input(Digest.of(data), len(data), where=path) as pending:
                pending.write(data)
            self._store.keep_record("standalone", key, known)
        return PythonPin(
            version=exact,
            source="standalone",
            path=path,
            size=known["size"],
            digest=Digest.parse(known["digest"]),
        )

    def newest(self, version: str, platform: Platform) -> str:
        """The version of the build that `resolve` takes, with nothing fetched. Raises NotFound as that does."""
        return self._newest(version, platform)[0]

    def fetch(self, pin: PythonPin, *, moved: Callable[[int], None]) -> None:
        """The build of ``pin`` is in the store's inputs. Raises IntegrityError when it is not what was locked."""
        with self._where_else():
            self._http.fetch(
                self._store,
                [Fetch((self._url(pin.path),), pin.archive, pin.size, f"CPython {pin.version}")],
                moved=moved,
            )

    def _newest(self, version: str, platform: Platform) -> tuple[str, str]:
        from packaging.version import Version

        arch, libc = _ARCHITECTURES.get(platform.architecture, (platform.machine, "gnu"))
        build = ("macos", arch, "none") if platform.os == "darwin" else (platform.os, arch, libc)
        builds = {
            Version(entry["version"]): entry["url"]
            for entry in self._list
            if (entry["os"], entry["arch"], entry["libc"]) == build
        }
        finals = {found for found in builds if not found.is_prerelease} or builds.keys()
        wanted = [found for found in finals if str(found) == version or str(found).startswith(f"{version}.")]
        if not wanted:
            minor = ".".join(version.split(".")[:2])
            minors = dict.fromkeys(f"{found.major}.{found.minor}" for found in sorted(finals))
            patches = [str(found) for found in sorted(finals) if str(found).startswith(f"{minor}.")]
            raise NotFound(
                f"no standalone CPython {version!r} for {platform} is known",
                hint="wanted one of " + ", ".join(patches or minors),
            )
        return str(max(wanted)), builds[max(wanted)].partition(_ROOT_END)[2]

    def _url(self, path: str) -> str:
        mirror = self._environ.get(_MIRROR)
        if mirror and not mirror.startswith(("http://", "https://")):
            raise BadInput(f"{_MIRROR} is {mirror!r}; wanted an address that begins with https://")
        return f"{(mirror or self._root).rstrip('/')}/{path}"

    @contextlib.contextmanager
    def _where_else(self) -> Iterator[None]:
        """In the block, an error of an address that cannot be reached says that there are others."""
        try:
            yield
        except Unreachable as error:
            others = f"set {_MIRROR} to a mirror of standalone builds, or choose a suite or a base image that has the version"
            error.hint = f"{error.hint}; or {others}" if error.hint else others
            raise

    @cached_property
    def _root(self) -> str:
        return str(self._list[0]["url"]).partition(_ROOT_END)[0] + _ROOT_END

    @cached_property
    def _list(self) -> Sequence[Mapping[str, Any]]:
        command = [
            uv_program(), "python", "list", "--no-config", "--offline", "--only-downloads",
            "--all-platforms", "--all-arches", "--all-versions", "--output-format", "json",
        ]  # fmt: skip
        # uv applies its settings to the list; the addresses that belong in a lock are those without any.
        environ = {name: value for name, value in self._environ.items() if not name.startswith("UV_")}
        try:
            listed = json.loads(subprocess.run(command, env=environ, check=True, capture_output=True).stdout)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            raise TaskImageError(f"uv does not list standalone interpreters: {error}") from error
        return [
            entry
            for entry in listed
            if (entry["implementation"], entry["variant"]) == ("cpython", "default")
            and _ROOT_END in (entry["url"] or "")
        ]
