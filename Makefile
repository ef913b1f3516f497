# Everything a developer or a visitor runs. Needs python3 (3.11 or newer) with venv, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check format lint types imports migrations fmt bench clients lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## make .venv with the locked packages

$(STAMP): requirements-dev.txt pyproject.toml
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP) ## a shop's half year on the embedded database, then stay up (options: ARGS="--months 2")
	$(BIN)/servicelane demo $(ARGS)

serve: $(STAMP) ## serve on the embedded database
	$(BIN)/servicelane serve $(ARGS)

test: $(STAMP) ## the tests, each process on an embedded PostgreSQL of its own (options: ARGS="-k name")
	$(BIN)/python -m pytest --numprocesses=auto $(ARGS)

check: format lint types imports migrations ## all that can be told without the tests (each part is a target too)

format: $(STAMP)
	$(BIN)/ruff format --check --quiet .

lint: $(STAMP)
	$(BIN)/ruff check --quiet .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

migrations: $(STAMP)
	$(BIN)/python -m pytest -q -k tables_and_migrations_agree tests/integration/test_migrations.py

fmt: $(STAMP) ## format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## the benchmark: ratios against hand-written endpoints, in one run
	$(BIN)/python -m bench $(ARGS)

clients: $(STAMP) ## make clients in TypeScript and Python from the OpenAPI document, and compile them
	$(BIN)/python clients/generate.py

lock: ## refresh the locks (needs uv)
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --group build -o requirements-build.txt
	$(COMPILE) pyproject.toml -c requirements.txt -c requirements-build.txt --group dev -o requirements-dev.txt
	$(COMPILE) clients/python/requirements.in -o clients/python/requirements.txt

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf clients/python/.venv clients/*/generated clients/typescript/node_modules clients/typescript/build
