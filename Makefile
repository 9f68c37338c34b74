# One virtual environment with the core and all plugins, editable. PYTHON may be any 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := core $(sort $(wildcard plugins/*))
LEARNING := $(wildcard benchmarks/learning*.py)
PROJECTS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml)
export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install dev demo test lint bench bench-learning dist clean

install: $(VENV)/.installed

dev: $(VENV)/.developing

demo: install
	$(BIN)/callsmith run tiny

test: dev lint
	$(BIN)/pytest

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy core/src/callsmith

# Minutes; what models learn takes hours.
bench: dev
	@for command in $(filter-out $(LEARNING),$(wildcard benchmarks/*.py)); do \
	  echo "== $$command"; $(BIN)/python $$command || exit 1; done

bench-learning: dev
	@for command in $(LEARNING); do echo "== $$command"; $(BIN)/python $$command || exit 1; done

dist: $(VENV)/.releasing
	$(BIN)/python .ci/releasing.py
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) dist .callsmith

$(VENV)/.installed: constraints.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "callsmith needs Python 3.11 or later: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing callsmith and its plugins into $(VENV): one to three minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt hatchling editables
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation $(PACKAGES:%=-e ./%)
	@touch $@

$(VENV)/.developing: $(VENV)/.installed pyproject.toml
	$(BIN)/pip install -q -c constraints.txt $$($(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"])')
	@touch $@

$(VENV)/.releasing: $(VENV)/.developing
	$(BIN)/pip install -q -c constraints.txt $$($(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["release"])')
	@touch $@
