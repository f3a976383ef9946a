"""What a container of a task image starts with: environment, user, working directory, command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from taskimage.model.oci import ExecutionConfig
from taskimage.model.user import User
from taskimage.model.value import dataclass

__all__ = [
    "CONDA",
    "FLYTEKIT",
    "HOME",
    "PREFIX",
    "USER",
    "WORKDIR",
    "Conventions",
    "environment_of_commands",
    "runtime_config",
]

PREFIX = "/opt/venv"
CONDA = "/opt/conda"
HOME = "/home/flytekit"
WORKDIR = "/root"
# In numbers, so that Kubernetes can tell for `runAsNonRoot` that this is not root; group 0, so that what the
# image lets its user write, a container that runs as any other uid of group 0 may write as well.
USER = "1000:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What tasks of one framework expect of an image: who runs them, and where."""

    user: User
    workdir: str


FLYTEKIT: Final = Conventions(user=User(name="flytekit", uid=1000, gid=0, home=HOME), workdir=WORKDIR)
"""What flytekit's tasks expect."""

_SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Where the NVIDIA device plug-in of a cluster mounts the driver's programs and libraries.
_NVIDIA = ("/usr/local/nvidia/bin", "/usr/local/cuda/bin")
_REFERENCE = re.compile(r"\\(?P<escaped>\$)|\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})")
_NVIDIA_LIBRARIES = "/usr/local/nvidia/lib64"
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# Of a base's variables these would lead Python elsewhere: to another standard library, and tools to another
# environment. A configuration cannot unset a variable, so they are left out.
_OF_ANOTHER_PYTHON = ("PYTHONHOME", "VIRTUAL_ENV")
# Labels that say what an image is, when and from what it was made (image-spec, annotations.md, and what was used
# before it): of a base, and not of what is made on it.
_OF_ONE_IMAGE = ("org.opencontainers.image.", "org.label-schema.")
# Properties that are about the container that a base was committed from, or for `docker build` alone.
_OF_A_BUILD = ("Hostname", "Domainname", "Image", "OnBuild")


def runtime_config(
    *,
    image_id: str,
    env: Mapping[str, str] | None = None,
    entrypoint: Sequence[str] | None = None,
    runtime_packages: Sequence[str] = (),
    own_authorities: bool = False,
    labels: Mapping[str, str] | None = None,
    prefix: str = PREFIX,
    programs: Sequence[str] = (),
    user: str = USER,
    home: str = HOME,
    workdir: str = WORKDIR,
    base: ExecutionConfig | None = None,
) -> ExecutionConfig:
    """How a container of a task image starts; flytekit's default image starts the same way.

    On a base image its variables, labels and other properties stay, where they are not of the base alone; user,
    working directory, entrypoint and command are as without one. Ours win, ``PYTHONPATH`` among them. Two
    variables are lists that grow: on ``PATH`` the environment comes before the base's folders, and on
    ``LD_LIBRARY_PATH`` the base's come first, since its author decided which of its libraries take the place of
    a driver's, and nothing else may find them.

    Args:
        image_id: The id of the spec, by which a running task knows its image.
        env: The spec's own variables; they win over all others, and ``$NAME`` or ``${NAME}`` in them stands for
            the value that the image would otherwise have, as in the Dockerfile that flytekit writes them to.
        entrypoint: The spec's own; without one the image starts Python when it is given no command. An empty one
            is none either, and no command of its own: what a task says is all that is run.
        runtime_packages: Requirements that flytekit installs when a task starts.
        own_authorities: Whether the image trusts certificate authorities of the spec's own: requests and what
            builds on it, and OpenSSL, then look where the image has them, and not where certifi does.
        labels: Facts for people and programs that look at the image.
        prefix: The virtual environment.
        programs: Folders of programs that come after the environment's own on ``PATH``.
        user: ``uid:gid``.
        home: Where that user's own files go.
        workdir: Where the code of tasks is unpacked, too.
        base: How a container of the base image starts.
    """
    base = base or ExecutionConfig()
    inherited = base.environment
    variables = {name: value for name, value in inherited.items() if name not in _OF_ANOTHER_PYTHON}
    variables |= {
        "PATH": _joined(f"{prefix}/bin", *programs, *_folders(inherited.get("PATH")) or _SYSTEM, *_NVIDIA),
        "LD_LIBRARY_PATH": _joined(*_folders(inherited.get("LD_LIBRARY_PATH")), _NVIDIA_LIBRARIES),
        "PYTHONPATH": workdir,
        # A uid without a passwd entry would get "/" for its home, and could not write there.
        "HOME": home,
        "UV_PYTHON": f"{prefix}/bin/python",
        "SSL_CERT_DIR": "/etc/ssl/certs",
        "FLYTE_SDK_RICH_TRACEBACKS": "0",
        "_F_IMG_ID": image_id,
    }
    if runtime_packages:
        variables["_F_RUNTIME_PACKAGES"] = " ".join(runtime_packages)
    if own_authorities:
        variables |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), _BUNDLE)
    variables |= {name: _expanded(value, variables) for name, value in (env or {}).items()}
    kept = {name: value for name, value in base.labels.items() if not name.startswith(_OF_ONE_IMAGE)}
    return ExecutionConfig(
        env=tuple(f"{name}={value}" for name, value in variables.items()),
        entrypoint=tuple(entrypoint or ()),
        cmd=("python",) if entrypoint is None else (),
        user=user,
        working_dir=workdir,
        labels={**kept, **(labels or {})},
        other={name: value for name, value in base.other.items() if name not in _OF_A_BUILD},
    )


def environment_of_commands(
    *, env: Mapping[str, str] | None = None, base: ExecutionConfig | None = None
) -> dict[str, str]:
    """The variables that commands see while an image is built: those of a container, and no id of the spec yet."""
    variables = runtime_config(image_id="", env=env, base=base).environment
    return {name: value for name, value in variables.items() if name != "_F_IMG_ID"}


def _folders(text: str | None) -> list[str]:
    """The folders of a search path; an empty one would be wherever the process happens to be."""
    return [folder for folder in (text or "").split(":") if folder]


def _joined(*folders: str) -> str:
    """A search path of ``folders``, each once, at its first place."""
    return ":".join(dict.fromkeys(folders))


def _expanded(value: str, variables: Mapping[str, str]) -> str:
    def value_of(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match["escaped"]
        return variables.get(match["name"] or match["braced"], "")

    return _REFERENCE.sub(value_of, value)
