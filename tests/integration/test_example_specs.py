"""The specs of ``examples/specs``, each as the person who wrote it would use it: published, run, and built again.

PyPI and Debian's archives are the real ones. The registry is on loopback, and so are an index and a conda channel
that stand for those whose hosts an example cannot name.
"""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv
from tests.channels import Channel, CondaFile, python_files
from tests.command import ROOT, Command
from tests.dockerregistry import docker_registry
from tests.folders import remove
from tests.sources import Index, Mirror

from taskimage.model.oci import INDEX, MANIFEST

SPECS = ROOT / "examples" / "specs"
FLYTEKIT = "1.16.31"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="the examples are for linux/amd64"
    ),
]

Check = tuple[tuple[str, ...], str]


def python(program: str, said: str) -> Check:
    """A program in Python, and what it prints."""
    return ("python", "-c", program), said


def shell(program: str, said: str) -> Check:
    """A program for the shell, and what it prints."""
    return ("sh", "-euc", program), said


# What the person who wrote a spec would do in its image, and see.
CHECKS = {
    "audio": shell(
        "ffmpeg -loglevel error -f lavfi -i sine=frequency=440:duration=1 -ar 16000 /tmp/a.flac\n"
        "ffmpeg -loglevel error -i /tmp/a.flac /tmp/a.mp3\n"
        "python -c 'import soundfile as s, pydub; print(s.info(\"/tmp/a.flac\").samplerate,"
        " len(pydub.AudioSegment.from_mp3(\"/tmp/a.mp3\")) > 900)'",
        "16000 True\n",
    ),
    "both-platforms": shell(
        'python -c \'import numpy, orjson; print(orjson.dumps({"a": int(numpy.arange(3).sum())}).decode())\' | jq .a',
        "3\n",
    ),
    "conda": shell("samtools --version; python -c 'import markupsafe._speedups'", "samtools 1.21\n"),
    "dask": python(
        "import dask.dataframe as dd, pandas as pd\n"
        "from distributed import Client\n"
        "import flytekitplugins.dask\n"
        "if __name__ == '__main__':\n"
        "    with Client(processes=False, dashboard_address=None):\n"
        "        print(dd.from_pandas(pd.DataFrame({'x': range(10)}), npartitions=2).x.sum().compute())",
        "45\n",
    ),
    "diagrams": shell(
        "python -c 'import graphviz as g, sys; d = g.Digraph(); d.edge(\"ä\", \"b\"); d.render(\"/tmp/d\", format=\"png\");"
        " print(sys.version_info[:2])'\n"
        "head -c 4 /tmp/d.png | tail -c 3; echo; fc-match sans family",
        "(3, 13)\nPNG\nDejaVu Sans\n",
    ),
    "from-poetry": shell("python -m report; python -c 'import pytest' 2>/dev/null || echo no pytest", "<h1>Sales</h1>\nno pytest\n"),
    "from-requirements": python(
        "import requests, urllib3, yaml, socks, s3fs, boto3; print(requests.__version__, urllib3.__version__ < '2.3')",
        "2.32.3 True\n",
    ),
    "from-uv": shell(
        "python -m forecasts.table | tail -1; python -c 'import pytest' 2>/dev/null || echo no pytest",
        "Tuesday         19\nno pytest\n",
    ),
    "geospatial": python(
        "import geopandas, rasterio, rasterio.io, numpy\n"
        "berlin = geopandas.GeoSeries.from_xy([13.4], [52.5], crs=4326).to_crs(25833).buffer(1000)\n"
        "with rasterio.io.MemoryFile() as file:\n"
        "    with file.open(driver='GTiff', width=2, height=2, count=1, dtype='uint8', crs='EPSG:25833') as raster:\n"
        "        raster.write(numpy.ones((1, 2, 2), 'uint8'))\n"
        "    with file.open() as raster: print(round(berlin.area[0] / 1e6, 1), raster.crs)",
        "3.1 EPSG:25833\n",
    ),
    "lakehouse": python(
        "import duckdb, polars as pl\n"
        "pl.DataFrame({'shop': ['a', 'a', 'b'], 'sold': [1, 2, 4]}).write_parquet('/tmp/a.parquet')\n"
        "print(duckdb.sql(\"select shop, sum(sold)::int from '/tmp/a.parquet' group by all order by all\").pl().rows())",
        "[('a', 3), ('b', 4)]\n",
    ),
    "notebooks": python(
        "import nbformat, nbformat.v4 as v, papermill, flytekitplugins.papermill\n"
        "cell = v.new_code_cell('import matplotlib.pyplot as p; p.plot([1]); print(6 * 7)')\n"
        "kernel = {'name': 'python3', 'language': 'python', 'display_name': 'x'}\n"
        "nbformat.write(v.new_notebook(cells=[cell], metadata={'kernelspec': kernel}), '/tmp/in.ipynb')\n"
        "done = papermill.execute_notebook('/tmp/in.ipynb', '/tmp/out.ipynb', progress_bar=False)\n"
        "print(done.cells[0].outputs[0].text)",
        "42\n\n",
    ),
    "odd-values": python(
        "import os; print(*(repr(os.environ[name]) for name in ('WORKERS', 'RATIO', 'WHEN', 'ANSWER', 'GREETING', 'PRICE',"
        " 'LINES', 'ACCENTS', 'EMPTY')), os.environ['PATH'].partition(':')[0], sep='\\n')",
        "'4'\n'0.1'\n'2024-01-31'\n'no'\n'two  words, \\'single\\' and \"double\"'\n'5$'\n"
        "'one\\ntwo\\n'\n'ünïcode ✓'\n''\n/root/bin\n",
    ),
    "opencv": python(
        "import cv2, numpy as np; print(cv2.imdecode(cv2.imencode('.png', np.zeros((4, 6, 3), 'uint8'))[1], 1).shape)",
        "(4, 6, 3)\n",
    ),
    "sklearn-training": python(
        "import io, joblib, lightgbm, pandas as pd\n"
        "from sklearn.linear_model import LinearRegression\n"
        "table = pd.read_parquet(io.BytesIO(pd.DataFrame({'x': [1, 2, 3], 'y': [2, 4, 6]}).to_parquet()))\n"
        "joblib.dump(LinearRegression().fit(table[['x']], table.y), '/tmp/m')\n"
        "x, y = pd.DataFrame({'x': range(100)}), [0] * 50 + [1] * 50\n"
        "print(joblib.load('/tmp/m').predict(pd.DataFrame({'x': [4]})).round(3),"
        " lightgbm.LGBMClassifier(n_estimators=9, verbose=-1).fit(x, y).predict(x[-1:])[0])",
        "[8.] 1\n",
    ),
    "team-base": shell(
        "command -v tini; echo $TZ; python -c 'import pandas as p, sklearn.linear_model as m;"
        " print(m.LinearRegression().fit(p.DataFrame([1, 2]), [2, 4]).predict(p.DataFrame([3])).round(3))'",
        "/usr/bin/tini\nEurope/Berlin\n[6.]\n",
    ),
    "tokenizers": python(
        "import numpy, safetensors.numpy as s, hf_transfer, huggingface_hub\n"
        "from tokenizers import Tokenizer, models, pre_tokenizers, trainers\n"
        "t = Tokenizer(models.BPE()); t.pre_tokenizer = pre_tokenizers.Whitespace()\n"
        "t.train_from_iterator(['to be or not to be'], trainers.BpeTrainer(show_progress=False))\n"
        "print(t.encode('to be').tokens, s.load(s.save({'w': numpy.ones(2)}))['w'])",
        "['to', 'be'] [1. 1.]\n",
    ),
    "torch-cpu": python("import torch; print(torch.__version__)", "2.4.1+cpu\n"),
    "warehouse": python(
        "import subprocess, sqlalchemy\n"
        "engine = sqlalchemy.create_engine('postgresql+psycopg2://u:p@localhost/x')\n"
        "print(engine.dialect.driver, subprocess.run(['psql', '--version'], capture_output=True, text=True).stdout[:17])",
        "psycopg2 psql (PostgreSQL)\n",
    ),
    "with-commands": shell(
        "with-commands/serve; stat -c '%a %n' /data/*/; head -c 6 /data/usage.txt",
        "serving from /root as flytekit\n2775 /data/in/\n2775 /data/out/\nUsage:",
    ),
}  # fmt: skip
# What answers for as long as it runs.
SERVER = "serving"
NAMES = sorted([*CHECKS, SERVER])
# Those whose team commits a lock; the others leave it to the day.
LOCKED = ("from-poetry", "lakehouse", "serving", "team-base", "torch-cpu", "both-platforms", "with-commands")


def test_every_example_is_used() -> None:
    assert sorted(path.stem for path in SPECS.glob("*.yaml")) == NAMES


@dataclass(frozen=True)
class Desk:
    """The examples on a machine of somebody who uses them, and a registry."""

    folder: Path
    command: Command
    registry: str

    def spec(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(SPECS, folder, dirs_exist_ok=True)
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet"], cwd=folder / "from-uv", check=True)
    (folder / "registry").mkdir()
    index = Index()
    index.add("torch", "2.4.1+cpu", files={"torch/__init__.py": b"__version__ = '2.4.1+cpu'\n"})
    channels = Mirror(folder / "channels")
    forge, bio = (Channel(channels.root / name) for name in ("conda-forge", "bioconda"))
    forge.add(python_files(), name="python", version=platform.python_version(), depends=["__glibc >=2.17"])
    program = CondaFile(b"#!/bin/sh\necho samtools 1.21\n", executable=True)
    bio.add({"bin/samtools": program}, name="samtools", version="1.21")
    with contextlib.ExitStack() as stack:
        stack.callback(index.close)
        stack.callback(channels.close)
        registry = stack.enter_context(docker_registry(folder / "registry")).host
        for path in folder.glob("*.yaml"):
            path.write_text(_at_home(path.read_text(), registry, index))
        environ = {"CONDA_CHANNEL_ALIAS": channels.url, "NO_PROXY": "127.0.0.1"}
        yield Desk(folder, Command(folder / "home", environ), registry)


def _at_home(text: str, registry: str, index: Index) -> str:
    """A spec whose registry and index are those on loopback."""
    text = text.replace("localhost:5000", registry).replace("localhost:30000", registry)
    text = text.replace("https://wheels.example.org/cpu", index.url)
    return text if "registry:" in text else f"{text}registry: {registry}\n"


@pytest.fixture(scope="module")
def flytekit(desk: Desk) -> dict[str, str]:
    """What flytekit calls each image."""
    command = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--no-config", "--no-python-downloads"]
    oracle = str(Path(__file__).with_name("flytekit_tag_oracle.py"))
    done = subprocess.run(
        [*command, "--python", sys.executable, "--with", f"flytekit=={FLYTEKIT}", "--", "python", oracle],
        input=json.dumps([(str(desk.folder), f"{name}.yaml", False) for name in NAMES]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: names["image_name"] for name, names in zip(NAMES, json.loads(done.stdout), strict=True)}


@pytest.fixture(scope="module", params=NAMES)
def built(request: pytest.FixtureRequest, desk: Desk) -> Iterator[tuple[str, str]]:
    """The name of an example, and the reference of its image, which is unpacked for no longer than it is needed."""
    name: str = request.param
    if name in LOCKED:
        desk.command.succeed("lock", str(desk.spec(name)))
    options = ["--locked"] if name in LOCKED else []
    yield name, desk.command.succeed("build", *options, str(desk.spec(name))).strip()
    remove(desk.command.home / "roots")


@pytest.mark.parametrize("built", sorted(CHECKS), indirect=True)
def test_an_image_does_what_it_is_for(desk: Desk, built: tuple[str, str]) -> None:
    name, reference = built
    words, said = CHECKS[name]
    done = desk.command("run", "--quiet", reference, "--", *words)
    assert (done.returncode, done.stdout) == (0, said), done.stderr


@pytest.mark.parametrize("built", [SERVER], indirect=True)
def test_a_server_answers_while_its_image_runs(desk: Desk, built: tuple[str, str]) -> None:
    """The entrypoint is the command; a port that the host has free comes by the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = desk.command.start("run", "--quiet", "-e", f"UVICORN_PORT={port}", built[1])
    try:
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        assert any("Uvicorn running" in line for line in lines)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/predict?x=21") as answer:
            assert json.load(answer) == {"y": 42}
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM  # which uvicorn sends itself once it has shut down


def test_an_image_is_published_under_flytekits_name_too(
    desk: Desk, built: tuple[str, str], flytekit: dict[str, str]
) -> None:
    name, reference = built
    repository, _, tag = flytekit[name].removeprefix(f"{desk.registry}/").partition(":")
    request = urllib.request.Request(
        f"http://{desk.registry}/v2/{repository}/manifests/{tag}",
        method="HEAD",
        headers={"Accept": f"{MANIFEST}, {INDEX}"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - the registry is the tests'
        assert reference.endswith(f"@{answer.headers['Docker-Content-Digest']}")
    assert name in LOCKED or reference.startswith(f"{flytekit[name]}@")


def test_a_second_build_does_nothing(desk: Desk, built: tuple[str, str]) -> None:
    name, reference = built
    done = desk.command("build", str(desk.spec(name)))
    assert (done.returncode, done.stdout.strip()) == (0, reference), done.stderr
    assert "nothing to do" in done.stderr
