"""Bytecode is the same whatever the interpreter has compiled or imported before, in each Python that suites have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import Command

from taskimage.adapters import bytecode_worker
from taskimage.adapters.bytecode import runtime_command

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="Debian's interpreters are run"),
]

# In 3.12 every name that was interned once is there for ever; elsewhere as long as somebody has it, as here.
PROGRAM = """
import sys
worker = {"__name__": "worker"}
exec(open(sys.argv[1]).read(), worker)
worker["_warnings"].filters.insert(0, ("ignore", None, Warning, None, 0))
sources = {path: open(path, "rb").read() for path in sys.stdin.read().splitlines()}
alone = {path: worker["compiled"](path, source) for path, source in sources.items()}
held = [compile(source, path, "exec") for path, source in sources.items() if alone[path]]
again = {path: worker["compiled"](path, source) for path, source in sources.items()}
print(len(held), *(path for path in sources if alone[path] != again[path]))
"""


@pytest.mark.parametrize(("suite", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
def test_what_was_compiled_before_shows_in_no_bytecode(suite: str, python: str, tmp_path: Path) -> None:
    command = Command(tmp_path / "home")
    spec = tmp_path / "image.yaml"
    spec.write_text(
        f"name: it\npython_version: '{python}'\n"
        f"builder_options: {{taskimage: {{runtime: none, suite: {suite}}}}}\n"
    )
    command.succeed("build", str(spec))
    [root] = (command.home / "interpreters").iterdir()
    words = [*runtime_command(root, f"/usr/bin/python{python}"), "-I", "-S", "-B", "-c", PROGRAM]
    library = Path(os.__file__).parent
    sources = [str(path) for path in sorted(library.glob("*.py"))]
    said = subprocess.run(
        [*words, bytecode_worker.__file__],
        input="\n".join(sources),
        check=False,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    compiled, *differing = said.stdout.split()
    assert int(compiled) > 100
    assert differing == []
