# Every target of the project; `make help` lists them. None of them asks for input.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis

# The site that the playbooks run on, a folder below inventory/. ANSIBLE_INVENTORY sets it for commands by hand as well.
INVENTORY ?= $(or $(ANSIBLE_INVENTORY),inventory/local)
# Passed on to the program that a target runs: `make core ARGS="--limit valkey"`.
ARGS ?=
JOBS ?= $(shell nproc)
# Program that writes a conventional playbook for the same Compose project, for `make bench` to compare with.
TEXTBOOK ?=

# The services' files belong to the services' users, so the playbooks run as root: through sudo if make does not.
BECOME := $(if $(filter 0,$(shell id -u)),,--become)

# Each linter has its own target.
LINTERS := lint-ansible lint-yaml lint-python lint-types lint-shell lint-docker lint-secrets lint-commits
# Only the local inventory needs Docker here. The machines of other sites are checked by the preflight checks.
LOCAL_DOCKER := $(if $(filter inventory/local inventory/local/,$(INVENTORY)),docker)

PYTHON_SCRIPTS := $(shell grep -l "^.!.*python3$$" scripts/*)
PYTHON_SOURCES := library module_utils action_plugins filter_plugins doc_fragments tests benchmarks $(PYTHON_SCRIPTS)
AUTHN := examples/trade2025/trading/apps/authn

##@ Use

.PHONY: setup
setup: venv docker ## Set this machine up: the Python environment, a Docker engine, Compose v2

.PHONY: core
core: venv $(LOCAL_DOCKER) ## Run the main job: migrate, deploy and verify the core services (INVENTORY=, PLAN=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) core.yml $(if $(PLAN),-e core_plan_to_apply=$(abspath $(PLAN))) $(ARGS)

.PHONY: plan
plan: venv $(LOCAL_DOCKER) ## Show what `make core` would change; PLAN=FILE saves the plan to a file (INVENTORY=, PLAN=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/plan.yml $(if $(PLAN),-e core_plan_to_save=$(abspath $(PLAN))) $(ARGS)

.PHONY: drift
drift: venv ## Show what differs between the declared and the running state (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/drift.yml $(ARGS)

.PHONY: verify
verify: venv ## Probe the running services again (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/verify.yml $(ARGS)

.PHONY: restore-points
restore-points: venv ## List the services' restore points, and what a rollback to each would change (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/restore_points.yml $(ARGS)

.PHONY: backup
backup: venv ## Back up the services' data, each stopped meanwhile: make backup ARGS="--limit valkey" (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/backup.yml $(ARGS)

.PHONY: rollback
rollback: venv ## Return services to their last good restore point: make rollback ARGS="--limit valkey" (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/rollback.yml $(ARGS)

.PHONY: stop
stop: venv ## Stop the services and keep everything; `make core` starts them again (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/stop.yml $(ARGS)

.PHONY: purge
purge: venv ## Show what a purge removes; ARGS="-e purge_of=PROJECT" removes it, except for the data (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/purge.yml $(ARGS)

.PHONY: journal
journal: venv ## Show and verify the audit log: who ran what and when, and the result (INVENTORY=, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/journal.yml $(ARGS)

# KINDS=network,component limits the kinds; DISRUPTIVE=1 also restarts, kills and removes the containers.
.PHONY: validate
validate: venv ## Run five kinds of tests against the running services, and write a report (INVENTORY=, KINDS=, DISRUPTIVE=1, ARGS=)
	ansible-playbook -i $(INVENTORY) $(BECOME) playbooks/validate.yml $(if $(KINDS),-e '{"core_validate_kinds": [$(KINDS)]}') \
	    $(if $(filter 1,$(DISRUPTIVE)),-e core_validate_disruptive=true) $(ARGS)

.PHONY: venv
venv: ## Create or update the Python environment .venv
	@scripts/setup run

.PHONY: docker
docker: ## Install and start Docker and Compose v2 if they are missing
	@scripts/ensure-docker
	@scripts/ensure-sysctl

##@ Test

# The integration tests wait for containers a third of the time; the other tests run in these gaps, one after the other.
# Job control makes those a process group of their own, which is ended with this target.
.PHONY: test
test: venv-test docker test-deps ## Run every test: the fast ones, the main job on real containers, each role by itself
	@code=0; set -m; \
	{ \
	    beside=0; \
	    nice $(MAKE) test-fast || beside=1; \
	    nice $(MAKE) browser || beside=1; \
	    nice $(MAKE) lint-sanity || beside=1; \
	    nice $(MAKE) test-faults ARGS="-m quick" || beside=1; \
	    nice $(MAKE) molecule JOBS=2 || beside=1; \
	    exit $$beside; \
	} & beside=$$!; set +m; \
	trap 'kill -- -$$beside 2>/dev/null || true' EXIT; \
	$(MAKE) integration || code=1; \
	wait $$beside || code=1; \
	exit $$code

.PHONY: test-fast
test-fast: venv-test ## Run the linters and the unit tests: no Docker, under two minutes
	@$(MAKE) --keep-going --jobs=$(JOBS) unit test-authn $(LINTERS)

.PHONY: lint
lint: venv-test ## Run all linters
	@$(MAKE) --keep-going --jobs=$(JOBS) $(LINTERS)

.PHONY: unit
unit: venv-test ## Run the unit tests (ARGS=)
	@scripts/run-quietly unit pytest -q -n $(JOBS) $(ARGS)

.PHONY: test-authn
test-authn: venv-test ## Run the tests of the sample's token issuer
	@PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(AUTHN) \
	    scripts/run-quietly authn pytest -q --rootdir=$(AUTHN) -o cache_dir=$(CURDIR)/.cache/pytest-authn $(AUTHN)/tests

.PHONY: browser
browser: venv-test test-deps ## Test the report's page in Chromium; screenshots are in .cache/browser (ARGS=)
	@scripts/run-quietly browser pytest -q tests/browser $(ARGS)

.PHONY: integration
integration: venv-test docker test-deps ## Run the integration tests on real containers (ARGS=)
	pytest $(if $(filter tests/%,$(ARGS)),,tests/integration) -v --durations=10 $(ARGS)

.PHONY: test-engines
test-engines: venv-test docker test-deps ## Run a small site on the Docker engines of Debian 12, 13 and unstable (ARGS=)
	pytest $(if $(filter tests/%,$(ARGS)),,tests/integration/engines tests/integration/images/test_bundle.py) --every-engine -v \
	    --durations=10 $(ARGS)

.PHONY: test-setup
test-setup: venv-test docker ## Run `make core` on fresh systems (Debian 12 and 13, Ubuntu 24.04) as a user who is not root (ARGS=)
	pytest tests/systems -v --durations=10 $(ARGS)

.PHONY: drill
drill: venv-test docker test-deps ## Let each service fail in five ways and check that it returns to its old version by itself (ARGS=)
	DRILL=all pytest tests/integration/test_rollback.py -v -s $(ARGS)

.PHONY: test-faults
test-faults: venv-test docker ## Cause faults on a separate engine: kill -9, full disks, damaged files (ARGS="-m quick": a part)
	pytest $(if $(filter tests/%,$(ARGS)),,tests/faults) -v --durations=10 $(ARGS)

.PHONY: test-validation
test-validation: venv-test docker ## Break services on purpose, one fault at a time, and check that make validate finds each (ARGS=)
	pytest tests/validation -v --durations=10 $(ARGS)

.PHONY: test-official
test-official: venv-test docker test-deps ## Test the configuration and data with the versions that sites run and upgrade to: an hour (ARGS=)
	pytest tests/official -v --durations=10 $(ARGS)

.PHONY: molecule
molecule: venv-test docker ## Test one role by itself: make molecule ROLE=valkey; without ROLE, all of them
	@scripts/molecule $(ROLE)

.PHONY: bench-migrate
bench-migrate: venv-test ## Measure the migration of a source tree (ARGS=)
	python benchmarks/migrate/bench.py $(ARGS)

.PHONY: bench
bench: venv-test ## Measure runs of core.yml, and plot them; TEXTBOOK=PROGRAM also measures another playbook (ARGS=)
	python benchmarks/converge/bench.py --compose /srv/trade2026/infrastructure/docker/docker-compose.core.yml --changes \
	    $(if $(TEXTBOOK),--textbook $(TEXTBOOK)) $(ARGS)
	python benchmarks/converge/plot.py

.PHONY: bench-scale
bench-scale: venv-test ## Measure a run with nothing to do for 8, 16, 32 and 64 small services, and plot it (ARGS=)
	python benchmarks/converge/scale.py $(ARGS)
	python benchmarks/converge/plot.py

.PHONY: test-deps
test-deps: ## Install what only the integration and browser tests need
	@scripts/ensure-test-tools

.PHONY: venv-test
venv-test:
	@scripts/setup test

.PHONY: $(LINTERS)
$(LINTERS): venv-test

lint-ansible: ## Lint playbooks and roles: ansible-lint, profile production
	@scripts/run-quietly ansible-lint ansible-lint --strict -q

lint-yaml: ## Lint every YAML file: yamllint
	@scripts/run-quietly yamllint yamllint --strict .

lint-python: ## Lint the Python code and check its format: ruff
	@scripts/run-quietly ruff ruff check $(wildcard $(PYTHON_SOURCES))
	@scripts/run-quietly ruff-format ruff format --check $(wildcard $(PYTHON_SOURCES))

lint-types: ## Check the types of the Python code: mypy, strict
	@scripts/run-quietly mypy scripts/typecheck

lint-shell: ## Lint the shell scripts: shellcheck
	@scripts/run-quietly shellcheck shellcheck --external-sources scripts/lib.sh $$(grep -lE '^#!.*\b(ba)?sh$$' scripts/* .ci/run)

lint-docker: ## Lint the Dockerfiles: hadolint
	@scripts/run-quietly hadolint scripts/lint-dockerfiles

lint-secrets: ## Search all files in git for secrets: detect-secrets
	@scripts/run-quietly secrets scripts/lint-secrets

lint-commits: ## Check the subjects of new commits
	@scripts/run-quietly commits scripts/lint-commits

.PHONY: lint-sanity
lint-sanity: venv-test ## Lint modules and plugins as those of a collection: ansible-test sanity
	@scripts/run-quietly sanity scripts/lint-sanity $(ARGS)

##@ Maintain

.PHONY: lock
lock: venv-test ## Resolve requirements/*.in into requirements/*.txt, with the newest versions (ARGS=--keep: keep versions)
	scripts/update-locks $(ARGS)

.PHONY: docs
docs: venv ## Generate docs/reference from the roles' argument specs and the modules' documentation
	scripts/generate-reference $(ARGS)

.PHONY: clean
clean: ## Remove the environment and the caches, but neither a deployment nor a Docker engine that was started here
	rm -rf .venv .ansible .hypothesis
	[[ ! -d .cache ]] || find .cache -mindepth 1 -maxdepth 1 ! -name dockerd.pid -exec rm -rf {} +
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile
