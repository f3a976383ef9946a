"""A real flytekit task and workflow; `make demo` runs it inside the built image."""

import json
import os
import subprocess
import sys

from flytekit import task, workflow

sys.path.insert(0, os.path.join(os.environ.get("PYTHONPATH", "/root"), "src"))


@task
def revenue() -> float:
    """What was earned: pandas from a wheel, `jq` from Debian, a module of our own, the image's env."""
    from prices import table

    prices = table()
    document = json.dumps({"revenue": float((prices["price"] * prices["sold"]).sum())})
    checked = subprocess.run(["jq", ".revenue"], input=document, capture_output=True, text=True, check=True)
    print(os.environ["QUICKSTART_GREETING"])
    return float(checked.stdout)


@workflow
def quickstart() -> float:
    """One task."""
    return revenue()
