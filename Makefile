# `make test` and `make demo` need nothing but python3 and, for the programs that judge, Debian and root.
.PHONY: demo test unit check format setup bench lock

test: check  ## every test: style, types, unit, integration, the README's promises
	.venv/bin/python -m pytest -n auto --dist loadfile

unit: setup  ## seconds, and no network
	.venv/bin/python -m pytest tests/unit

check: setup
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy

format: setup
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

demo: setup  ## build examples/quickstart, run a task in it, print its Image
	scripts/demo

bench: setup  ## measured against docker build or buildah, in one run
	.venv/bin/python benchmarks/run.py

lock: setup  ## lock the development dependencies anew
	.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.10 pyproject.toml --group dev --output-file requirements/dev.txt

setup:
	@scripts/setup
