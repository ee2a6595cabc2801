# One place for the steps that people, CI and the README share. Everything runs in .venv, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
SOURCES := compressor agents tests benchmarks examples

.PHONY: demo test check bench venv

demo: $(STAMP)  ## compress a recorded agent session, check what survived, write demo-report.html
	$(BIN)/python examples/demo.py

test: $(STAMP)  ## the quick tests; `make test ARGS='-m slow'` for the slow ones
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)  ## lint, format, types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)

bench: $(STAMP)  ## all tables, or `make bench ONLY=sessions,qa LIMIT=10`
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(LIMIT),--limit $(LIMIT))

venv: $(STAMP)

# pip first: the pip that comes with an older Python can backtrack into failure on the extras.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U pip
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@
