# Every target sets itself up from a fresh clone: all it needs is Python 3.11 or newer.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready
JOBS ?= 2
OUT ?= segcate-output
# pyspark is 460 MB; SPARK= leaves it out, and its tests are skipped.
SPARK ?= ,spark
EXTRAS := test,demo$(SPARK)$(if $(wildcard segcate/temporal),$(shell printf ,temporal))
# Pinned so that pip takes the CPU build where there is one; any torch >= 2.2 will do.
TORCH ?= torch==2.13.0

# One thread a process: the tests run $(JOBS) processes, and small fits and networks only wait on more.
test slow docs: export OMP_NUM_THREADS = 1
test slow docs: export OPENBLAS_NUM_THREADS = 1

.PHONY: help demo test lint format slow bench docs clean

help:
	@echo "make demo    the whole analysis on real data: prints tables, writes $(OUT)/"
	@echo "make test    lint, types and the unit tests"
	@echo "make slow    the simulations that hold every standard error to its coverage"
	@echo "make bench   speed beside other packages"
	@echo "make docs    user guide, API reference and gallery into docs/_build/html; links are checked"
	@echo "make format  format the code"

demo: $(READY)
	$(BIN)/segcate demo --out $(OUT)

test: lint
	$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

slow: $(READY)
	$(BIN)/python -m pytest -q -n $(JOBS) -m slow

bench: $(READY)
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

docs: $(DOCS_READY)
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_html.py docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache docs/_build docs/gallery docs/api/generated

$(READY): pyproject.toml setup.cfg
	@if [ ! -x $(BIN)/python ]; then \
	  for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	    python=; \
	  done; \
	  if [ -z "$$python" ]; then echo "segcate needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; fi; \
	  echo "setting up $(VENV) with $$($$python --version)"; \
	  $$python -m venv $(VENV); \
	fi
	@if [ -d segcate/temporal ]; then $(BIN)/python -m pip install -q $(TORCH); fi
	$(BIN)/python -m pip install -q -e ".[$(EXTRAS)]"
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install -q -e ".[docs]"
	@touch $@
