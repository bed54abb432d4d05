# The first Python that Bytewax has a wheel for; another one: make install PYTHON=/path/to/python
FITS := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.10; do \
    $$python -c '$(FITS)' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help install run test linter build lock clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: .venv/.done ## Make .venv with the locked dependencies and this package

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c '$(FITS)' 2>/dev/null || { \
	    echo "domination needs Python 3.10, 3.11 or 3.12: make install PYTHON=/path/to/python" >&2; exit 1; }
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
