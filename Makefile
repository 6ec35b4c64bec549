# One door: people and CI call these and nothing else. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := orchestration train serve live standalone dashboard docs dev
export OMP_WAIT_POLICY ?= PASSIVE
# uv does not look where pip is told to; hand it on.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: help setup run up down status test test-all check fmt lock docs bench bundle clean audit

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## make .venv with everything run and test need

# uv is taken from the machine, or installed into the environment itself.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "Riskcast needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=..."; exit 2; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@uv=$$(command -v uv || true); \
	if [ -z "$$uv" ]; then $(BIN)/python -m pip install --quiet 'uv>=0.9'; uv=$(BIN)/uv; fi; \
	export VIRTUAL_ENV=$(VENV); \
	"$$uv" pip install --quiet --require-hashes -r requirements/dev.txt; \
	"$$uv" pip install --quiet --no-deps --editable .
	@touch $@

run: setup ## start the stack, load the history, train, gate, deploy, forecast
	@$(BIN)/riskcast quickstart

up: setup ## start the stack
	@$(BIN)/riskcast up

down: ## stop the stack
	@[ ! -x $(BIN)/riskcast ] || $(BIN)/riskcast down

status: ## say what runs
	@$(BIN)/riskcast status

test: setup ## the tests: under ten minutes on two cores
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(PYTEST)

test-all: setup ## every test, with full counts and long runs
	@$(BIN)/python -m pytest $(PYTEST)

check: setup ## format, lint, types, layers, generated docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy src plugins
	@$(BIN)/lint-imports
	@$(BIN)/riskcast docs --check

fmt: setup ## format and mend what can be mended
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

# Hashes, no addresses: the file says what to install, the machine says from where.
lock: ## compile requirements/ from pyproject.toml
	@uv pip compile pyproject.toml $(addprefix --extra ,$(EXTRAS)) -c requirements/bounds.txt \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --quiet -o requirements/dev.txt

docs: setup ## the site of docs/, into build/site; a broken link fails
	@$(BIN)/riskcast docs
	@$(BIN)/python docs/pictures.py
	@$(BIN)/zensical build --clean --strict

bench: setup ## benchmarks; FILES=folder for your own data
	@for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script $(if $(FILES),--files $(FILES)); done

bundle: setup ## what Amazon MWAA is given, into dist/mwaa; needs RISKCAST_PLACE=ecs
	@$(BIN)/riskcast bundle

clean: down ## remove the environment and everything the installation wrote
	@rm -rf $(VENV) .riskcast .pytest_cache .hypothesis .mypy_cache .ruff_cache

audit: setup ## supply chain: advisories, SBOM, secrets, workflows, Terraform; ends 3 if out of reach
	@terraform fmt -check -recursive terraform
	@$(BIN)/python -m pytest -q tests/terraform
	@uv run --quiet --no-project tests/terraform/stand_in.py
	@$(BIN)/python .ci/audit.py
