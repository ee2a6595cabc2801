# One place for the steps that people, CI and the README share. Everything runs in .venv, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
MODELS := $(VENV)/.stamp-models
SOURCES := compressor agents tests benchmarks examples training

.PHONY: demo test check bench venv models

demo: $(STAMP)  ## compress a recorded agent session, check what survived, write demo-report.html
	$(BIN)/python examples/demo.py

test: $(MODELS)  ## the quick tests, on both cores; `make test ARGS='-m slow'` for the slow ones, one at a time
	$(BIN)/python -m pytest $(or $(ARGS),-n 2)

check: $(MODELS)  ## lint, format, types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)

bench: $(MODELS)  ## all tables, or `make bench ONLY=sessions,qa LIMIT=10`
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(LIMIT),--limit $(LIMIT))

venv: $(STAMP)

models: $(MODELS)  ## what the model tiers need: torch, ONNX Runtime, llama.cpp

# pip first: the pip that comes with an older Python can backtrack into failure on the extras.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U pip
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

# llama-cpp-python is compiled here: without its multimodal and common parts, which we do not use, in a third of the time.
# Where it cannot be compiled the rest is there all the same, and its tests are skipped (CI does not allow that).
$(MODELS): $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,models,onnx,training]' -e ./models
	CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/.ci/llama.cmake" \
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[llama]' \
	|| echo "llama-cpp-python could not be compiled: the perplexity tier and its tests are left out"
	touch $@
