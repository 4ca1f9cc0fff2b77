# Everything a person types here. On a machine with Python 3.11 or newer, make and git, `make demo` is all it takes.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test quick check proof matrix bench clean help servers packages
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed  ## launch the platform's migrations on the embedded PostgreSQL
	@$(BIN)/lancio demo

test: $(VENV)/.installed-dev packages servers  ## all tests; the heavy proofs as small seeded samples
	@$(PYTEST) -n 2

quick: $(VENV)/.installed-dev  ## the tests that need no server
	@$(PYTEST) -n 2 -m "not postgres"

check: $(VENV)/.installed-dev  ## format, lint, types, import contracts, then all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

proof: $(VENV)/.installed-dev packages servers  ## the full figures of the heavy proofs, with the same code
	@LANCIO_PROOF=1 $(PYTEST) -n 2

matrix: $(VENV)/.installed-dev packages  ## PostgreSQL 10 to 18, a row each in docs/reference/server-versions.md
	@$(BIN)/python scripts/make_matrix.py

bench: $(VENV)/.installed-dev  ## one script a question; results and machine are in bench/README.md
	@set -e; for script in bench/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

clean:  ## remove what was made here; the embedded server's data is not here and stays
	rm -rf $(VENV) .servers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Lancio needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "A virtual environment cannot be made: on Debian and Ubuntu install python3-venv." >&2; exit 1; }

# pip's own version notice would be noise in front of a demo.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.installed

# What can't be had is no failure here: its tests are skipped by name, and under LANCIO_CI=1 a skip fails.
servers: | $(BIN)/python
	@$(BIN)/python scripts/install_servers.py || echo "Some servers are missing: their tests will be skipped." >&2

packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	    && { [ ! -x /usr/lib/postgresql/15/bin/initdb ] || ! command -v redis-server >/dev/null \
	        || ! command -v pgbouncer >/dev/null || ! command -v chromium >/dev/null; }; then \
	    apt-get update -qq; \
	    for package in postgresql-15 redis-server pgbouncer chromium; do \
	        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$package >/dev/null \
	            || echo "Debian's $$package could not be installed: its tests will be skipped." >&2; \
	    done; \
	fi
