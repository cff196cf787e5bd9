# Every verb of the project; `make help` lists them. None of them asks anything.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis

# The site that the playbooks run over, a folder below inventory/. ANSIBLE_INVENTORY names it for the commands by hand as well.
INVENTORY ?= $(or $(ANSIBLE_INVENTORY),inventory/local)
# Passed on to the program that a target runs: `make core ARGS="--limit valkey"`.
ARGS ?=
JOBS ?= $(shell nproc)

# The services' files belong to their users, so the playbooks work as root: by sudo where make does not.
BECOME := $(if $(filter 0,$(shell id -u)),,--become)

# The linters; each can be run by itself.
LINTERS := lint-ansible lint-yaml lint-python lint-types lint-shell lint-docker lint-secrets
# On a site of its own the services may run on other machines, and the preflight checks say what they lack.
ENGINE := $(if $(filter inventory/local inventory/local/,$(INVENTORY)),engine)

PYTHON_SOURCES := library module_utils action_plugins filter_plugins tests $(shell grep -l "^.!.*python3$$" scripts/*)
AUTHN := examples/trade2025/trading/apps/authn

##@ Use

.PHONY: setup
setup: environment engine ## Set this machine up: the Python environment, a Docker engine, Compose v2

.PHONY: core
core: environment $(ENGINE) ## Run the main job: migrate, deploy and verify the core services (INVENTORY=, PLAN=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) core.yml $(if $(PLAN),-e core_plan=$(abspath $(PLAN))) $(ARGS)

.PHONY: plan
plan: environment $(ENGINE) ## Show what `make core` would change, and save it where PLAN=FILE says (INVENTORY=, PLAN=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/plan.yml $(if $(PLAN),-e core_plan_file=$(abspath $(PLAN))) $(ARGS)

.PHONY: check
check: environment $(ENGINE) ## Say what `make core` would change at the site, and change nothing there (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) core.yml --check --diff $(ARGS)

.PHONY: drift
drift: environment ## Say what differs between the declared and the running state (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/drift.yml $(ARGS)

.PHONY: verify
verify: environment ## Prove again what runs, and change nothing that stays (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/verify.yml $(ARGS)

.PHONY: environment
environment:
	@scripts/setup run

.PHONY: engine
engine:
	@scripts/ensure-docker
	@scripts/ensure-map-count

##@ Test

.PHONY: test
test: environment-test engine ## Run every test: the fast ones, the main job on real containers, each role by itself
	@code=0; \
	$(MAKE) test-fast || code=1; \
	$(MAKE) lint-sanity || code=1; \
	$(MAKE) integration || code=1; \
	$(MAKE) molecule || code=1; \
	exit $$code

.PHONY: test-fast
test-fast: environment-test ## Lint and run the unit tests; no Docker, under two minutes
	@$(MAKE) --keep-going --jobs=$(JOBS) unit authn $(LINTERS)

.PHONY: lint
lint: environment-test ## Run all linters
	@$(MAKE) --keep-going --jobs=$(JOBS) $(LINTERS)

.PHONY: unit
unit: environment-test ## Run the unit tests (ARGS=)
	@scripts/step unit pytest -q -n $(JOBS) $(ARGS)

.PHONY: authn
authn: environment-test ## Run the tests of the sample's token issuer
	@PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(AUTHN) \
	    scripts/step authn pytest -q --rootdir=$(AUTHN) -o cache_dir=$(CURDIR)/.cache/pytest-authn $(AUTHN)/tests

.PHONY: integration
integration: environment-test engine test-tools ## Run the integration tests on real containers (ARGS=)
	pytest $(if $(filter tests/%,$(ARGS)),,tests/integration) -v --durations=10 $(ARGS)

.PHONY: molecule
molecule: environment-test engine ## Test one role by itself: make molecule ROLE=valkey; without ROLE, all of them
	@scripts/molecule $(ROLE)

.PHONY: bench-migrate
bench-migrate: environment-test ## Measure the migration of a source tree (ARGS=)
	python benchmarks/migrate/bench.py $(ARGS)

.PHONY: test-tools
test-tools:
	@scripts/ensure-test-tools

.PHONY: bench
bench: environment-test ## Measure a run with nothing to do, beside a textbook playbook where there is one (ARGS=)
	python benchmarks/converge/bench.py --compose /srv/trade2026/infrastructure/docker/docker-compose.core.yml \
	    $(if $(wildcard ../shared/peers/textbook/make.py),--textbook ../shared/peers/textbook/make.py) $(ARGS)

.PHONY: environment-test
environment-test:
	@scripts/setup test

.PHONY: $(LINTERS)
$(LINTERS): environment-test

lint-ansible: ## Judge playbooks and roles: ansible-lint, profile production
	@scripts/step ansible-lint ansible-lint --strict -q

lint-yaml: ## Judge every YAML file: yamllint
	@scripts/step yamllint yamllint --strict .

lint-python: ## Judge the Python code: ruff
	@scripts/step ruff ruff check $(wildcard $(PYTHON_SOURCES))
	scripts/step ruff-format ruff format --check $(wildcard $(PYTHON_SOURCES))

lint-types: ## Check the types of the Python code: mypy, strict
	@scripts/step mypy scripts/typecheck

lint-shell: ## Judge the shell scripts: shellcheck
	@scripts/step shellcheck shellcheck --external-sources scripts/lib.sh $$(grep -lE '^#!.*\b(ba)?sh$$' scripts/* .ci/run)

lint-docker: ## Judge the Dockerfiles: hadolint
	@scripts/step hadolint scripts/lint-dockerfiles

lint-secrets: ## Look for secrets in what git has or would add: detect-secrets
	@scripts/step secrets scripts/lint-secrets

.PHONY: lint-sanity
lint-sanity: environment-test ## Judge modules and plugins as a collection's are: ansible-test sanity
	@scripts/step sanity scripts/lint-sanity $(ARGS)

##@ Carry on

.PHONY: pins
pins: environment-test ## Write requirements/*.txt anew, with the newest versions that requirements/*.in allow
	scripts/renew-pins

.PHONY: docs
docs: environment ## Write docs/reference from the roles' argument specs and the modules' documentation
	scripts/generate-reference $(ARGS)

.PHONY: clean
clean: ## Remove the environment and the caches; what was deployed stays, and so does an engine that was started here
	rm -rf .venv .ansible .hypothesis
	[[ ! -d .cache ]] || find .cache -mindepth 1 -maxdepth 1 ! -name dockerd.pid -exec rm -rf {} +
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## List these verbs
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile
