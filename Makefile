# Two commands do everything on a fresh machine: `make train` and `make test`.
# Both install into .venv on the first call, and again when setup.cfg or pyproject.toml changes.

PYTHON ?= python3
CONFIG ?= population
VENV := .venv
PY := $(VENV)/bin/python
SETTINGS := setup.cfg pyproject.toml

# Two threads on a contended machine can be ten times slower than one: spinning barriers.
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help install install-test train test clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

train: $(VENV)/.installed ## install, then train populations; CONFIG=<scenario or file>, ARGS="<more options>"
	$(PY) scripts/train.py $(CONFIG) $(ARGS)

test: $(VENV)/.installed-test ## install with the test tools, then lint, check types and imports, run the tests
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m pytest $(ARGS)

install: $(VENV)/.installed ## only install

install-test: $(VENV)/.installed-test ## only install, with the test tools

clean: ## remove the installation and the tools' caches; results stay
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.installed: $(SETTINGS)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: $(SETTINGS)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --disable-pip-version-check -e ".[test]"
	@touch $(VENV)/.installed $@
