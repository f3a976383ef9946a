"""The model: in the image `training`."""

from pathlib import Path

import pandas as pd
from flytekit import current_context, task
from flytekit.types.file import FlyteFile
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeRegressor, export_graphviz

from workflows.images import training


def _tree(depth: int) -> DecisionTreeRegressor:
    return DecisionTreeRegressor(max_depth=depth, random_state=0)


@task(container_image=training)
def trial(data: pd.DataFrame, depth: int) -> float:
    """How well a tree of this depth explains houses that it has not seen: 1 is perfectly."""
    return float(cross_val_score(_tree(depth), data.drop(columns="heat"), data["heat"]).mean())


@task(container_image=training)
def fit(data: pd.DataFrame, depths: list[int], scores: list[float]) -> FlyteFile:
    """The tree of the best depth, for `dot`."""
    features = data.drop(columns="heat")
    tree = _tree(depths[scores.index(max(scores))]).fit(features, data["heat"])
    path = Path(current_context().working_directory) / "tree.dot"
    export_graphviz(tree, out_file=str(path), feature_names=list(features), impurity=False)
    return FlyteFile(str(path))
