"""The report: in the image of report.yaml, which `--image report=report.yaml` names."""

import subprocess
from pathlib import Path

from flytekit import current_context, task
from flytekit.types.file import FlyteFile


@task(container_image="{{.image.report}}")
def draw(tree: FlyteFile) -> FlyteFile:
    """A picture of the tree, by Graphviz."""
    dot = Path(tree.download()).read_bytes()
    path = Path(current_context().working_directory) / "tree.svg"
    path.write_bytes(subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, check=True).stdout)
    return FlyteFile(str(path))
