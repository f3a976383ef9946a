"""What teams install: requirements that are seen together, those that are wanted most first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STACKS", "Stack"]


@dataclass(frozen=True, slots=True)
class Stack:
    """A kind of work, its ``share`` of the teams in a hundred, and what these choose from beside `RUNTIME`."""

    kind: str
    share: int
    requirements: tuple[str, ...]


RUNTIME = "flytekit"
"""What every image has."""

_WANTED = {
    ("data", 30): """
        pandas numpy pyarrow sqlalchemy requests polars s3fs duckdb pydantic psycopg2-binary openpyxl tqdm scipy
        pandera fsspec tenacity beautifulsoup4 gcsfs lxml great-tables tabulate rapidfuzz adlfs zstandard msgpack
        simplejson xlrd dbt-duckdb frictionless petl""",
    ("models", 25): """
        scikit-learn pandas numpy matplotlib scipy xgboost mlflow pyarrow lightgbm boto3 joblib tqdm polars networkx
        pillow azure-storage-blob azure-identity regex cloudpickle hypothesis""",
    ("networks", 15): """
        torch numpy transformers datasets accelerate pandas pillow tqdm opencv-python scipy boto3 mlflow matplotlib
        scikit-learn soundfile""",
    ("language", 8): """
        transformers torch sentence-transformers datasets spacy pydantic httpx tenacity regex pandas fastapi
        beautifulsoup4 rapidfuzz redis tqdm""",
    ("tensors", 5): """
        tensorflow numpy pandas matplotlib scikit-learn pillow opencv-python google-cloud-storage tqdm pyarrow""",
    ("services", 10): """
        fastapi pydantic uvicorn httpx sqlalchemy numpy orjson sentry-sdk redis jinja2 cryptography boto3 pyjwt aiohttp
        pandas uvloop httptools watchfiles grpcio statsd python-dotenv""",
    ("clusters", 4): """
        dask distributed pandas pyarrow numpy s3fs scipy scikit-learn zstandard flytekitplugins-dask msgpack
        cloudpickle""",
    ("notebooks", 3): """
        jupyterlab papermill pandas matplotlib ipykernel numpy streamlit scikit-learn nbconvert pyarrow
        flytekitplugins-papermill""",
}  # fmt: skip

STACKS = tuple(Stack(kind, share, tuple(names.split())) for (kind, share), names in _WANTED.items())
