"""A real flytekit task and workflow; `make demo` runs it inside the built image."""

import json
import os
import subprocess

from flytekit import task, workflow
from shop.prices import table


@task
def revenue() -> float:
    """What was earned: pandas from a wheel, `jq` from Debian, a module of our own, a variable of the spec."""
    prices = table()
    document = json.dumps({"revenue": float((prices["price"] * prices["sold"]).sum())})
    checked = subprocess.run(["jq", ".revenue"], input=document, capture_output=True, text=True, check=True)
    print(os.environ["QUICKSTART_GREETING"])
    return float(checked.stdout)


@workflow
def quickstart() -> float:
    """One task."""
    return revenue()
