"""The workflow: trees of several depths are tried at once, and the best one is fitted and drawn."""

from functools import partial

from flytekit import map_task, workflow
from flytekit.types.file import FlyteFile

from workflows.data import measure
from workflows.model import fit, trial
from workflows.report import draw


@workflow
def train(count: int = 400, depths: list[int] = [2, 4, 8]) -> FlyteFile:  # noqa: B006 -- as flytekit has it
    """Measure, try, fit, draw."""
    data = measure(count=count)
    scores = map_task(partial(trial, data=data))(depth=depths)
    return draw(tree=fit(data=data, depths=depths, scores=scores))
