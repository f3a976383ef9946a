"""A model behind HTTP, such as it is."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/predict")
def predict(x: float) -> dict[str, float]:
    """Twice what is asked."""
    return {"y": 2 * x}
