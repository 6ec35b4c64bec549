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

# Every verb that help lists.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

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

# docs/how-to/compose.md says how to give the addresses of packages and other base images.
TARGETS := postgres redis nginx mlflow airflow serving dashboard runner moto
PASSED := PYTHON_IMAGE POSTGRES_IMAGE REDIS_IMAGE PIP_INDEX_URL PIP_EXTRA_INDEX_URL \
  UV_DEFAULT_INDEX UV_INDEX
IMAGE_TAG ?= latest

images: ## build the images of the compose project
	@for target in $(TARGETS); do \
	  docker build --quiet --target $$target --tag riskcast-$$target:$(IMAGE_TAG) \
	    --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	    --build-arg REVISION="$$(git rev-parse --short=12 HEAD)" \
	    $(foreach name,$(PASSED),$(if $($(name)),--build-arg $(name))) \
	    --file docker/Dockerfile . ; \
	done

secrets: setup ## make the secrets of the compose project
	@$(BIN)/riskcast secrets

compose-up: setup images ## start the stack in containers
	@$(BIN)/riskcast up --compose

compose-down: ## stop the containers; their data stays
	@[ ! -x $(BIN)/riskcast ] || $(BIN)/riskcast down --compose

compose-test: setup images ## the main job, a flip, crashes and the end of the stack in containers
	@$(BIN)/python -m pytest -m slow -s tests/compose

status: ## say what runs
	@$(BIN)/riskcast status

# A worker waits as often as it computes: three keep two cores busy.
test: setup ## the tests: under ten minutes on two cores
	@$(BIN)/python -m pytest -m "not slow" -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST)

test-all: setup ## every test, with full counts and long runs
	@$(BIN)/python -m pytest $(PYTEST)

soak: run ## two hours of requests to the stack, or MINUTES; what grows or fails is named
	@$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),120)

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
COMPILE := uv pip compile -c requirements/bounds.txt --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet
# Images get what was tested together, and those that run other programs only what these need.
IMAGE := $(COMPILE) -c requirements/dev.txt
lock: ## compile requirements/ from pyproject.toml
	@$(COMPILE) pyproject.toml $(addprefix --extra ,$(EXTRAS)) -o requirements/dev.txt
	@$(IMAGE) pyproject.toml --extra train --extra serve --extra live -o requirements/runner.txt
	@$(IMAGE) pyproject.toml --extra serve -o requirements/serving.txt
	@$(IMAGE) pyproject.toml --extra dashboard --extra inbox -o requirements/dashboard.txt
	@docker/extras orchestration database | $(IMAGE) - -o requirements/airflow.txt
	@docker/extras registry database | $(IMAGE) - -o requirements/mlflow.txt
	@docker/extras proxy | $(IMAGE) - -o requirements/nginx.txt
	@docker/extras stand-in | $(IMAGE) - -o requirements/moto.txt
	@docker/extras build | $(IMAGE) - -o requirements/build.txt

docs: setup ## the site of docs/, into build/site; a broken link fails
	@$(BIN)/riskcast docs
	@$(BIN)/python docs/pictures.py
	@$(BIN)/zensical build --clean --strict

bench: setup ## benchmarks; FILES=folder for your own data
	@for script in $(filter-out benchmarks/soak.py,$(wildcard benchmarks/[a-z]*.py)); do $(BIN)/python $$script $(if $(FILES),--files $(FILES)); done

bundle: setup ## what Amazon MWAA is given, into dist/mwaa; needs RISKCAST_PLACE=ecs
	@$(BIN)/riskcast bundle

clean: down ## remove the environment and everything the installation wrote
	@rm -rf $(VENV) .riskcast .pytest_cache .hypothesis .mypy_cache .ruff_cache

.PHONY: aws-test
aws-test: setup ## AWS paths against moto: a session, each role's calls, a release and its way back
	@$(BIN)/python -m pytest -q -p no:randomly tests/aws $(PYTEST)

audit: setup ## supply chain: advisories, SBOM, secrets, workflows, Terraform; ends 3 if out of reach
	@terraform fmt -check -recursive terraform
	@$(BIN)/python -m pytest -q tests/terraform tests/architecture/test_workflows.py
	@uv run --quiet --no-project tests/terraform/stand_in.py
	@$(BIN)/python .ci/audit.py
