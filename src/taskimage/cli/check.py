"""``taskimage check``."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from taskimage.cli.errors import exit_code_of
from taskimage.cli.parser import Parser, platforms
from taskimage.cli.progress import progress
from taskimage.cli.results import each, show
from taskimage.model.errors import TaskImageError

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``check``."""
    made = Parser(
        "check",
        "Look, in seconds and without building, whether a build would find what it needs: the right to push, Debian's\n"
        "archives or the base image, and a wheel of every Python package for each platform.",
        usage="[OPTION…] SPEC…",
        examples=[
            "taskimage check image.yaml",
            "taskimage check --platform linux/arm64 --registry ghcr.io/org image.yaml",
        ],
    )
    made.add_specs()
    made.add_argument("--platform", metavar="OS/ARCH", help="instead of the spec's; several with commas")
    made.add_argument("--registry", help="instead of the spec's")
    made.add_argument("--json", action="store_true", help="print a list of findings as JSON, one line a SPEC")
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Print a line for each finding; the exit code is that of the first problem."""
    values = parser().parse(words)
    return each(values.specs, lambda spec: _check(spec, values))


def _check(spec: Path, values: Namespace) -> int:
    from taskimage.verbs.check import check

    with progress(quiet=values.quiet) as listener:
        findings = check(
            spec,
            root=values.root,
            platform=platforms(values.platform),
            registry=values.registry,
            listener=listener,
        )
    if values.json:
        rows = [
            {
                "subject": one.subject, "ok": one.error is None, "needed": one.needed, "text": one.text,
                "error": str(one.error) if one.error else None,
            }
            for one in findings
        ]  # fmt: skip
        show(json.dumps(rows, ensure_ascii=False))
    else:
        for one in findings:
            mark = "ok     " if one.error is None else "PROBLEM" if one.needed else "note   "
            show(f"{mark} {one.subject}: {one.text}{_told(one.error)}")
    problems = [one.error for one in findings if one.error and one.needed]
    return exit_code_of(problems[0]) if problems else 0


def _told(error: TaskImageError | None) -> str:
    return "".join(f"\n        {line}" for line in str(error).splitlines()) if error else ""
