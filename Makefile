# `make test` and `make demo` need nothing but python3 and, for the programs that judge, Debian and root.
.PHONY: demo test unit check format setup bench bench-readme bench-api bench-plan docs lock

# Files in their order: those of integration are long, and the short ones at the end leave no worker without work.
test: check docs  ## everything: style, types, documentation, unit and integration tests
	.venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

unit: setup  ## seconds, and no network
	.venv/bin/python -m pytest tests/unit -n auto

check: setup
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy

format: setup
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

demo: setup  ## build examples/quickstart, run a task in it, print its Image
	scripts/demo

# RUNS=3, CASE="cold edited", PEER="taskimage docker", BIG=5 (GB) choose.
bench: setup  ## every case, here and with docker, buildah and skopeo, in one run
	.venv/bin/python -m benchmarks.run $(if $(RUNS),--runs $(RUNS)) $(if $(CASE),--case $(CASE)) \
	    $(if $(PEER),--peer $(PEER)) $(if $(BIG),--big $(BIG))

bench-readme: setup  ## the figures of the last `make bench`, into the README
	.venv/bin/python -m benchmarks.report

bench-api: setup  ## Image and Reference, measured against flytekit and docker-image-py, in one run
	.venv/bin/python -m benchmarks.api

bench-plan: setup  ## a year of 1,000 images, simulated: what a registry stores and machines pull
	.venv/bin/python -m benchmarks.plan.run

docs: setup  ## the documentation, into site/: a warning is an error
	.venv/bin/uv run --quiet --no-project --python .venv/bin/python \
	    --with-requirements requirements/docs.txt mkdocs build

lock: setup  ## lock the development dependencies anew
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.10 pyproject.toml --group dev --output-file requirements/dev.txt
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.10 --group docs --output-file requirements/docs.txt

setup:
	@scripts/setup
