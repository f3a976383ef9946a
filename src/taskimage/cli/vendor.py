"""``taskimage vendor``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress
from taskimage.cli.results import each, show

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``vendor``."""
    made = Parser(
        "vendor",
        "Fill a folder with everything that building a locked YAML file fetches: packages, interpreters and base\n"
        "images, for every platform of the lock. Take it, with the YAML file, its lock and what it copies, to a machine\n"
        "without network: there it is the store that TASKIMAGE_HOME names. Prints the folder.",
        usage="SPEC… -o DIR",
        examples=[
            "taskimage vendor image.yaml -o vendor",
            "taskimage vendor train.yaml serve.yaml -o vendor",
            "TASKIMAGE_HOME=vendor taskimage build --locked --offline image.yaml",
        ],
    )
    made.add_specs()
    made.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the folder; what it has stays"
    )
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Print the folder once all of it is there."""
    values = parser().parse(words)
    code = each(values.specs, lambda spec: _vendor(spec, values.output, values.root, quiet=values.quiet))
    if code == 0:
        show(str(values.output))
    return code


def _vendor(spec: Path, folder: Path, root: Path | None, *, quiet: bool) -> int:
    from taskimage.verbs.vendor import vendor

    with progress(quiet=quiet) as listener:
        vendor(spec, folder, root=root, settings=Settings.load(), listener=listener)
    return 0
