# `make run` and `make test` each set up everything they need on a machine that has python3.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READY := $(VENV)/.ready
# Two processes of one thread each are faster than one process of two on networks this small.
export OMP_NUM_THREADS := 1

.PHONY: run test coverage lint mutants clean

run: $(READY)
	$(BIN)/fusion run pipelines/digits.yaml --out out/digits

test: lint
	$(BIN)/python -m pytest -n 2 -m "not slow" tests
	$(BIN)/python -m pytest --doctest-modules fusion

# The same tests and doctests with branch coverage, which takes a quarter longer.
coverage: $(READY)
	$(BIN)/python -m pytest -n 2 -m "not slow" --cov --cov-report= tests
	$(BIN)/python -m pytest --doctest-modules --cov --cov-append fusion

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutants: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[mutants]"
	$(BIN)/python benches/mutants.py $(ARGS)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,images]"
	touch $@

clean:
	rm -rf $(VENV) out build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
