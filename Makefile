# `make run` and `make test` each set up everything they need on a machine that has python3.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READY := $(VENV)/.ready
# Two processes of one thread each are faster than one process of two on networks this small.
export OMP_NUM_THREADS := 1

.PHONY: run test lint clean

run: $(READY)
	$(BIN)/fusion run pipelines/digits.yaml --out out/digits

test: $(READY)
	$(BIN)/python -m pytest -n 2 -m "not slow" tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,images]"
	touch $@

clean:
	rm -rf $(VENV) out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
