"""The project that is built, as it is in each case: a spec for us, a Dockerfile for the peers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

__all__ = ["FLEET", "STATES", "State", "fleet", "write"]

HERE = Path(__file__).resolve().parent
SPEC = HERE / "ml5.yaml"


@dataclass(frozen=True, slots=True)
class State:
    """What a project asks for."""

    name: str
    packages: Sequence[str]
    apt_packages: Sequence[str] = ()
    bytecode: bool = True
    edited: bool = False
    on_base: bool = False


def _original() -> State:
    spec = yaml.safe_load(SPEC.read_text("utf-8"))
    return State(spec["name"], spec["packages"], spec["apt_packages"])


ORIGINAL = _original()
_ON_BASE = replace(ORIGINAL, on_base=True)
STATES: Mapping[str, State] = {
    "cold": ORIGINAL,
    "nothing": ORIGINAL,
    "edited": replace(ORIGINAL, edited=True),
    "added": replace(ORIGINAL, packages=[*ORIGINAL.packages, "humanize==4.11.0"]),
    "bumped": replace(
        ORIGINAL,
        packages=[pin.replace("pyarrow==18.1.0", "pyarrow==19.0.1") for pin in ORIGINAL.packages],
    ),
    "locked": ORIGINAL,
    "plain": replace(ORIGINAL, bytecode=False),
    "base-cold": _ON_BASE,
    "base-nothing": _ON_BASE,
    "base-edited": replace(_ON_BASE, edited=True),
}
"""The project by case; each is one change away from the original."""

_SHARED = (
    "numpy==2.1.3", "requests==2.32.3", "sqlalchemy==2.0.36", "rich==13.9.4", "pyyaml==6.0.2", "jinja2==3.1.4", "click==8.1.7",
)  # fmt: skip
_OWN = (
    "attrs==24.2.0", "cachetools==5.5.0", "colorama==0.4.6", "decorator==5.1.1", "docstring-parser==0.16",
    "filelock==3.16.1", "humanize==4.11.0", "inflection==0.5.1", "iniconfig==2.0.0", "isodate==0.7.2",
    "itsdangerous==2.2.0", "more-itertools==10.5.0", "natsort==8.4.0", "networkx==3.4.2", "parse==1.20.2",
    "pathspec==0.12.1", "pluggy==1.5.0", "tabulate==0.9.0", "tenacity==9.0.0", "toolz==0.12.1",
)  # fmt: skip
FLEET = tuple(State(f"fleet{number:02}", [*_SHARED, own]) for number, own in enumerate(_OWN))
"""Projects that differ in one small package each."""

# The instructions of flytekit's default builder, in its order. Its images from Docker Hub are replaced by one that has what it
# takes from them: certificates, uv, and Python, which it would install with micromamba.
_DOCKERFILE = """\
FROM taskimage-bench-base
USER root
RUN --mount=type=cache,sharing=locked,mode=0777,target=/var/cache/apt,id=apt \\
    apt-get update && apt-get install -y --no-install-recommends {apt_packages}
RUN id -u flytekit || useradd --create-home --shell /bin/bash flytekit
RUN chown -R flytekit /root && chown -R flytekit /home
RUN uv venv /opt/venv --python /usr/bin/python3.11
ENV PATH=/opt/venv/bin:$PATH UV_PYTHON=/opt/venv/bin/python UV_COMPILE_BYTECODE={bytecode} UV_LINK_MODE=copy \\
    FLYTE_SDK_RICH_TRACEBACKS=0 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PYTHONPATH=/root
RUN --mount=type=cache,sharing=locked,mode=0777,target=/root/.cache/uv,id=uv \\
    uv pip install {packages}
COPY --chown=flytekit shop /root/shop
WORKDIR /root
USER flytekit
ENV _F_IMG_ID={name}
"""


def write(folder: Path, state: State, *, base: str = "") -> None:
    """``folder`` has the project in ``state``; files that are as they should be already keep their time stamps."""
    (folder / "shop").mkdir(parents=True, exist_ok=True)
    source = (HERE / "shop" / "prices.py").read_text("utf-8")
    _write(folder / "shop" / "prices.py", source + ("# edited\n" if state.edited else ""))
    _write(folder / "image.yaml", _spec(state, base))
    _write(folder / "Dockerfile", _dockerfile(state))


def fleet(folder: Path) -> Sequence[Path]:
    """A folder within ``folder`` for each project of the fleet."""
    shutil.rmtree(folder / "fleet", ignore_errors=True)
    made = [folder / "fleet" / state.name for state in FLEET]
    for one, state in zip(made, FLEET, strict=True):
        write(one, state)
    return made


def _spec(state: State, base: str) -> str:
    spec: dict[str, Any] = {
        **yaml.safe_load(SPEC.read_text("utf-8")),
        "name": state.name,
        "packages": list(state.packages),
        "apt_packages": list(state.apt_packages),
    }
    if base:
        spec["base_image"] = base
    if not state.bytecode:
        spec["builder_options"]["taskimage"]["bytecode"] = False
    return yaml.safe_dump(spec, sort_keys=False)


def _dockerfile(state: State) -> str:
    text = _DOCKERFILE.format(
        name=state.name,
        packages=" ".join(state.packages),
        apt_packages=" ".join(state.apt_packages),
        bytecode=int(state.bytecode),
    )
    lines = text.splitlines(keepends=True)
    if not state.apt_packages:
        lines = lines[:2] + lines[4:]
    return "".join(lines)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
