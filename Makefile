# One place for the steps that people, CI and the README share. Everything runs in .venv, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt
# What is installed so far: the package, pytest, the developers' tools, the models.
BASE := $(VENV)/.stamp-base
FAST := $(VENV)/.stamp-fast
STAMP := $(VENV)/.stamp
MODELS := $(VENV)/.stamp-models
# Other people's clients and gateways, which pin packages of their own.
CLIENTS := .venv-clients
SOURCES := compressor agents tests benchmarks examples training hatch_build.py
# `make test-fast` runs the unit tests in two halves at once, so that it needs no pytest-xdist.
FAST_PYTEST = HYPOTHESIS_PROFILE=fast $(BIN)/python -m pytest -m "not slow and not moderate"
FAST_HALF := $(addprefix tests/unit/,cli context scoring storage text tokens)

.PHONY: demo test-fast test-fast-1 test-fast-2 test test-all check bench bench-gpu venv models clients native

demo: $(BASE)  ## compress a recorded agent session, check what survived, write demo-report.html
	$(BIN)/python examples/demo.py

test-fast: $(FAST)  ## the unit tests that take no time: the base install and pytest are enough
	$(MAKE) --no-print-directory -j2 test-fast-1 test-fast-2

test-fast-1: $(FAST)
	$(FAST_PYTEST) $(FAST_HALF)

test-fast-2: $(FAST)
	$(FAST_PYTEST) tests/unit $(addprefix --ignore=,$(FAST_HALF))

test: $(STAMP)  ## the quick tests (many of them wait for a server); what needs models, Redis or Chromium is skipped where these are missing
	$(BIN)/python -m pytest $(or $(ARGS),-n 3)

test-all: $(MODELS)  ## every test, with the models; the slow ones one at a time
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -m slow

check: $(MODELS)  ## lint, format, types, import contracts
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

bench: $(MODELS)  ## all tables, or `make bench ONLY=sessions,qa LIMIT=10`
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(LIMIT),--limit $(LIMIT))

# Where the packages are there already, as in an image for GPUs: `make bench-gpu GPU_PYTHON=python3`.
GPU_PYTHON ?= $(BIN)/python
bench-gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),$(MODELS))  ## tests, speed and limits on a GPU, in at most 8 minutes
	$(GPU_PYTHON) -m benchmarks.gpu

venv: $(STAMP)  ## the developers' tools and every package that is tested with, without models

models: $(MODELS)  ## what the model tiers need: torch, ONNX Runtime, llama.cpp

native: $(STAMP)  ## compile the kernels of compressor/native again, after a change to one of them
	$(BIN)/python hatch_build.py

clients: $(CLIENTS)/.stamp  ## the clients and gateways that tests/integration/clients runs

# The JavaScript ones where there is npm, which installs them beside their programs.
$(CLIENTS)/.stamp: tests/integration/clients/requirements.txt tests/integration/clients/programs/package.json
	test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install -q -U pip
	$(CLIENTS)/bin/python -m pip install -q -r $<
	mkdir -p $(CLIENTS)/programs && cp tests/integration/clients/programs/package.json $(CLIENTS)/programs
	! command -v npm >/dev/null || npm install --prefix $(CLIENTS)/programs --no-package-lock --no-audit --no-fund --silent
	touch $@

# pip first: the pip that comes with an older Python can backtrack into failure on the extras.
$(BASE): pyproject.toml constraints.txt hatch_build.py $(wildcard compressor/native/*.p[yx][xd])
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U pip
	$(PIP) -e .
	touch $@

$(FAST): $(BASE)
	$(PIP) pytest
	touch $@

$(STAMP): $(BASE)
	$(PIP) -e '.[dev]'
	touch $@

# llama-cpp-python is compiled here: without its multimodal and common parts, which we do not use, in a third of the time.
# Where it cannot be compiled the rest is there all the same, and its tests are skipped (CI does not allow that).
$(MODELS): $(STAMP)
	$(PIP) -e '.[dev,models,onnx,training]' -e ./models
	CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/.ci/llama.cmake" \
	$(PIP) -e '.[llama]' \
	|| echo "llama-cpp-python could not be compiled: the perplexity tier and its tests are left out"
	touch $@
