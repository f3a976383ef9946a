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
    ("data", 26): """
        pandas numpy pyarrow sqlalchemy requests boto3 polars s3fs duckdb pydantic psycopg2-binary openpyxl tqdm scipy
        google-cloud-bigquery snowflake-connector-python pandera fsspec tenacity beautifulsoup4 gcsfs pymysql pymongo
        lxml deltalake xlsxwriter great-tables tabulate loguru rapidfuzz pyodbc adlfs databricks-sql-connector faker
        fastavro zstandard pyiceberg elasticsearch msgpack simplejson clickhouse-connect xlrd awswrangler pandas-gbq
        confluent-kafka paramiko pendulum trino azure-keyvault-secrets dbt-duckdb oracledb ibis-framework fastparquet
        great-expectations google-cloud-pubsub frictionless dlt petl prefect connectorx""",
    ("models", 21): """
        scikit-learn pandas numpy matplotlib scipy xgboost mlflow pyarrow lightgbm boto3 joblib seaborn optuna shap tqdm
        statsmodels catboost polars plotly networkx pillow imbalanced-learn wandb numba onnxruntime azure-storage-blob
        azure-identity google-cloud-aiplatform regex cloudpickle umap-learn onnx skl2onnx category-encoders hyperopt
        hypothesis feature-engine lifelines mlxtend faiss-cpu feast""",
    ("networks", 13): """
        torch numpy transformers datasets accelerate pandas torchvision pillow tqdm opencv-python scipy boto3 mlflow
        tensorboard matplotlib wandb torchmetrics pytorch-lightning einops scikit-learn safetensors peft
        diffusers timm soundfile onnx onnxruntime bitsandbytes optuna torch-geometric webdataset torchinfo""",
    ("language", 6): """
        transformers torch sentence-transformers datasets spacy nltk pydantic httpx tenacity regex pandas sentencepiece
        fastapi beautifulsoup4 rapidfuzz gensim redis tqdm evaluate sacrebleu ftfy bertopic trafilatura
        unidecode""",
    ("assistants", 8): """
        openai langchain pydantic tiktoken fastapi langchain-openai httpx anthropic langchain-community langgraph
        pandas tenacity litellm chromadb qdrant-client faiss-cpu pypdf llama-index-core pgvector langfuse
        python-dotenv mcp google-genai sentence-transformers redis uvicorn instructor pymupdf pydantic-ai-slim
        weaviate-client pinecone pdfplumber json-repair fastembed python-docx cohere gradio""",
    ("pictures", 4): """
        numpy opencv-python-headless pillow torch torchvision scikit-image matplotlib tqdm albumentations ultralytics
        boto3 imageio timm librosa soundfile av torchaudio onnxruntime pycocotools pydicom tifffile faster-whisper kornia
        pydub nibabel supervision simpleitk segmentation-models-pytorch imageio-ffmpeg pytesseract""",
    ("tensors", 3): """
        tensorflow numpy pandas jax matplotlib scikit-learn tensorboard pillow flax opencv-python optax
        google-cloud-storage tqdm pyarrow keras tf-keras""",
    ("services", 8): """
        fastapi pydantic uvicorn httpx sqlalchemy numpy orjson pydantic-settings sentry-sdk redis jinja2 gunicorn
        prometheus-client cryptography boto3 asyncpg alembic celery pyjwt aiohttp pandas uvloop onnxruntime structlog
        opentelemetry-sdk opentelemetry-exporter-otlp httptools flask watchfiles grpcio aiokafka statsd python-dotenv
        psycopg aiofiles tritonclient kubernetes slack-sdk ddtrace""",
    ("forecasts", 3): """
        pandas numpy statsmodels scikit-learn prophet matplotlib lightgbm statsforecast sqlalchemy plotly holidays
        yfinance cvxpy sktime pulp pmdarima mlforecast tsfresh ortools arch pymc numexpr""",
    ("maps", 2): """
        geopandas numpy pandas shapely rasterio xarray pyproj matplotlib rioxarray zarr netcdf4 scipy h3 folium dask
        geopy pyogrio rtree contextily pystac-client duckdb cartopy geoalchemy2 s3fs osmnx""",
    ("clusters", 3): """
        dask distributed pandas pyarrow numpy ray s3fs scipy scikit-learn zstandard xarray numba
        flytekitplugins-dask bokeh fastparquet lz4 zarr msgpack modin cloudpickle""",
    ("notebooks", 3): """
        jupyterlab papermill pandas matplotlib ipykernel numpy ipywidgets seaborn streamlit plotly scikit-learn
        nbconvert pyarrow altair bokeh dash flytekitplugins-papermill jupytext panel hvplot marimo notebook""",
}  # fmt: skip

STACKS = tuple(Stack(kind, share, tuple(names.split())) for (kind, share), names in _WANTED.items())
