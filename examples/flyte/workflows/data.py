"""The data: in the image `tables`."""

import numpy as np
import pandas as pd
from flytekit import task

from workflows.images import tables


@task(container_image=tables)
def measure(count: int) -> pd.DataFrame:
    """Houses, and the heat in kWh that each takes in a year: walls and roof lose it, insulation keeps some."""
    random = np.random.default_rng(0)
    area, storeys = random.uniform(60, 240, count), random.integers(1, 4, count)
    year, insulated = random.integers(1900, 2020, count), random.random(count) < 0.4
    surface = 2 * area / storeys + 10 * storeys * np.sqrt(area / storeys)
    loss = np.where(insulated, 0.35, 1.6 - 0.01 * (year - 1900))
    heat = 70 * surface * loss * random.normal(1, 0.05, count)
    return pd.DataFrame(
        {"area": area, "storeys": storeys, "year": year, "insulated": insulated, "heat": heat}
    )
