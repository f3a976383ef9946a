"""The images of the tasks. With no `registry` of their own they go to the one that TASKIMAGE_REGISTRY names."""

from flytekit import ImageSpec

# Tables, for all that the team runs.
tables = ImageSpec(
    name="tables",
    builder="taskimage",
    python_version="3.11",
    packages=["pandas==2.2.3", "pyarrow==18.1.0"],
)

# The heavy one: what stands on `tables` shares its layers, and only what it adds is built, pushed and pulled.
training = ImageSpec(
    name="training",
    builder="taskimage",
    python_version="3.11",
    base_image=tables,
    packages=["scikit-learn==1.5.2"],
    env={"OMP_NUM_THREADS": "1"},
)
