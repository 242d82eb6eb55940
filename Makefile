# What a person types; .ci/run types the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-slow check bench bench-model install clean

# Installs into .venv, then runs the quickstart on the sample task that ships with the project.
run: $(VENV)/.installed
	$(BIN)/msp run ray_jobs/configs/quickstart.yaml

test: $(VENV)/.installed-test
	$(BIN)/pytest -q

test-slow: $(VENV)/.installed-test
	$(BIN)/pytest -q -m slow

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q

bench: $(VENV)/.installed-test
	$(BIN)/python tests/bench/bench_engine.py

# The small LM that ships, beside others: make bench-model MODELS="builtin runs/pretrain/model".
MODELS ?= builtin
bench-model: $(VENV)/.installed
	$(BIN)/python -m msp.models.evaluate $(MODELS)

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install -q -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
