"""What uv says when it cannot resolve, as one of our errors with a hint; uv's own words are kept, shortened."""

from __future__ import annotations

import re

from taskimage.adapters.pypi.chosen import without_wheel
from taskimage.adapters.pypi.target import Target
from taskimage.model.errors import CannotBuild, NotAllowed, NotFound, TaskImageError, Unreachable

__all__ = ["explained"]

_LONGEST = 900
_NETWORK = re.compile(
    r"Failed to (?:fetch|download)|error sending request|Request failed after|dns error|timed out|HTTP status server"
)
_LOGIN = re.compile(r"lack of valid authentication|40[13] (?:Unauthorized|Forbidden)")
_UNKNOWN = re.compile(r"(?:Because |, )(?:and )?([\w.-]+) was not found in the package registry")
_NO_VERSION = re.compile(
    r"(?:there (?:is|are) no versions? of|is available and you require) (\S+?)(?:,| and )"
)
_NO_WHEEL = re.compile(r"([\w.-]+)([=<>!~]\S*)? (?:has|have) no (?:usable )?wheels?")
_FRAME = re.compile(r"error: |cause: |Caused by: |No solution found when resolving dependencies:?")
# What people import, where the distribution has another name.
_IMPORT_NAMES = {
    "attr": "attrs", "bs4": "beautifulsoup4", "cv2": "opencv-python-headless", "dateutil": "python-dateutil",
    "dotenv": "python-dotenv", "git": "gitpython", "jose": "python-jose", "jwt": "pyjwt",
    "kafka": "kafka-python", "pil": "pillow", "skimage": "scikit-image", "sklearn": "scikit-learn",
    "tensorflow-gpu": "tensorflow", "umap": "umap-learn", "yaml": "pyyaml",
}  # fmt: skip


def explained(said: str, target: Target) -> TaskImageError:
    """The error for what uv ``said`` on its standard error."""
    text, hint = _condensed(said)
    if _LOGIN.search(said):
        return NotAllowed(
            f"cannot resolve Python packages: the index {_host(said)} wants credentials",
            hint="put them into ~/.netrc, or into UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD",
        )
    if "network was disabled" in said:
        return Unreachable(
            f"cannot resolve Python packages offline: {text}", hint="run it once without --offline"
        )
    if _NETWORK.search(said):
        return Unreachable(
            f"cannot resolve Python packages: no answer of use from {_host(said)}: {_last_cause(said)}",
            hint="try again; another index is set with UV_DEFAULT_INDEX or pip_index, a proxy with HTTPS_PROXY",
        )
    if "No solution found" not in said:
        return CannotBuild(f"uv cannot resolve the Python packages for {target}: {text}", hint=hint)
    return _unsatisfied(text, hint, target)


def _unsatisfied(text: str, hint: str | None, target: Target) -> TaskImageError:
    if match := _UNKNOWN.search(text):
        return NotFound(
            f"no package {match[1]!r} on the package index" + _because(text, match[1]),
            hint=_meant(match[1]) or "look at its spelling, or name its index with pip_extra_index_url",
        )
    if match := _NO_WHEEL.search(text):
        tags = f" ({hint})" if hint and "tags" in hint else ""
        return CannotBuild(
            f"no wheel of '{match[1]}{match[2] or ''}' for {target}{_because(text, match[1])}{tags}",
            hint=_meant(match[1]) or without_wheel(match[1]),
        )
    if (match := _NO_VERSION.search(text)) and " on " not in text:
        return NotFound(
            f"no version of the package fits {match[1]!r}", hint="look at its versions on the package index"
        )
    return CannotBuild(
        f"the Python packages do not fit together for {target}: {text}",
        hint=hint or "loosen one of the requirements that are named",
    )


def _meant(name: str) -> str | None:
    other = _IMPORT_NAMES.get(name.lower())
    return f"perhaps {other!r} is meant" if other else None


def _because(text: str, name: str) -> str:
    """Which package asks for ``name``, when it was not the spec itself."""
    match = re.search(r"([\w.-]+)(?:[=<>!~]\S*)? depends? on " + re.escape(name), text)
    return f", which {match[1]!r} depends on" if match else ""


def _condensed(said: str) -> tuple[str, str | None]:
    """The explanation on one line, and the first hint; box drawings of older versions are gone."""
    body, _, hints = re.sub(r"[^\x00-\x7f]", " ", said).partition("hint:")
    hint = " ".join(hints.partition("hint:")[0].split())
    lines = (line.strip() for line in body.splitlines())
    text = " ".join(line for line in lines if not line.lower().startswith("warning:"))
    text = " ".join(_FRAME.sub(" ", text).split())
    return (text if len(text) <= _LONGEST else text[:_LONGEST] + " …"), hint or None


def _last_cause(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    causes = [
        re.sub(r"^(?:cause|Caused by|error): ", "", line) for line in lines if not line.startswith("hint")
    ]
    return causes[-1] if causes else "no reason was given"


def _host(said: str) -> str:
    match = re.search(r"https?://([^/\s`'\")]+)", said)
    return match[1].rpartition("@")[2] if match else ""
