# A Python that Bytewax has a wheel for; another one: make install PYTHON=/path/to/python
PYTHON ?= $(firstword $(foreach v,3.12 3.11 3.10,$(shell command -v python$(v))) python3)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help install run test linter build lock clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: .venv/.done ## Make .venv with the locked dependencies and this package

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 10) <= v < (3, 13) else \
	    f"domination needs Python 3.10, 3.11 or 3.12, and $(PYTHON) is {v[0]}.{v[1]}: make install PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: install ## Run producer and worker against an embedded broker; Ctrl-C ends it
	@$(BIN)/domination demo

test: install ## Run the tests; a real Kafka is started if Java 17 and mvn are there
	$(BIN)/python -m pytest

linter: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

build: install ## Build the wheel and the source distribution into dist/
	$(BIN)/hatchling build

lock: ## Lock the newest dependencies again (needs uv)
	uv pip compile --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	    --no-emit-index-url --group dev pyproject.toml -o requirements.lock

clean: ## Remove what the other targets made
	rm -rf .venv dist .kafka .mypy_cache .pytest_cache .ruff_cache .hypothesis
