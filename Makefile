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
SOURCES := compressor agents tests benchmarks examples training
# Two processes where pytest-xdist is installed, as it is after `make venv`.
PARALLEL = $(shell $(BIN)/python -c "import xdist" 2>/dev/null && echo -n 2)

.PHONY: demo test-fast test test-all check bench venv models

demo: $(BASE)  ## compress a recorded agent session, check what survived, write demo-report.html
	$(BIN)/python examples/demo.py

test-fast: $(FAST)  ## the unit tests that take no time: the base install and pytest are enough
	HYPOTHESIS_PROFILE=fast $(BIN)/python -m pytest $(PARALLEL) tests/unit -m "not slow and not moderate"

test: $(STAMP)  ## the quick tests, on both cores; what needs models, Redis or Chromium is skipped where these are missing
	$(BIN)/python -m pytest $(or $(ARGS),-n 2)

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

venv: $(STAMP)  ## the developers' tools and every package that is tested with, without models

models: $(MODELS)  ## what the model tiers need: torch, ONNX Runtime, llama.cpp

# pip first: the pip that comes with an older Python can backtrack into failure on the extras.
$(BASE): pyproject.toml constraints.txt
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
