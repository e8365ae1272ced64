# Every recipe works on a bare machine with python3 (3.11 or newer), pip and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
# Debian 12's own, which a server there runs on.
PYTHON_TO_TEST ?= /usr/bin/python3.11
UV := PYTHONPATH=.tools $(PYTHON) -m uv
BIN := .venv/bin
# Behind a proxy that breaks TLS open, the system knows its authority and uv's own list does not.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),true,false)
# Each of the tests' workers, and each server that they start, imports some 400 modules: their bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE
NO_SERVERS := -n 3 --dist worksteal --ignore=tests/process --ignore=tests/faults --ignore=tests/simulation

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.tools/bin/uv:
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv

.venv/.synced: pyproject.toml uv.lock | .tools/bin/uv
	@$(UV) venv --quiet --allow-existing .venv
	@$(UV) sync --quiet --frozen --compile-bytecode
	@touch $@

setup: .venv/.synced ## make the environment in .venv

run: setup ## start the server: HTTPS on 8443, SQLite, self-signed certificate when there is none
	@exec $(BIN)/python run_api_server.py

demo: setup ## the whole way against local twins of fal and Telegram
	@$(BIN)/aisha-webhook demo

# Databases of tests lie in memory where there is room: a disk that is busy with something else holds an fsync for seconds.
test test-on: export PYTEST_DEBUG_TEMPROOT := $(shell [ -w /dev/shm ] && \
	[ "$$(df --output=avail /dev/shm | tail -1)" -gt 4000000 ] && echo /dev/shm || echo "$${TMPDIR:-/tmp}")

test: setup ## every test that starts no server, on SQLite and PostgreSQL
	@$(BIN)/python -m pytest $(NO_SERVERS)

servers: setup ## tests that start servers, kill them, and take disks, networks and databases from them
	@$(BIN)/python -m pytest -n 4 --dist worksteal tests/process tests/faults

test-on: export UV_PROJECT_ENVIRONMENT := .venv-other
test-on: | .tools/bin/uv ## the same, on SQLite alone, on another interpreter: PYTHON_TO_TEST=/usr/bin/python3.11
	@$(UV) sync --quiet --frozen --compile-bytecode --no-python-downloads --python $(PYTHON_TO_TEST)
	@.venv-other/bin/python -m pytest $(NO_SERVERS) --ignore=tests/docs -k "not postgresql"

faults: setup ## kill, power cut, races, outages (needs strace; some need root)
	@FAULTS=full $(BIN)/python -m pytest tests/faults -p no:randomly -s

e2e: setup ## scanner, renewals, slow clients, nginx (needs pebble, certbot, nginx, PyPI)
	@E2E=full $(BIN)/python -m pytest tests/e2e tests/readme -p no:randomly -s -rs

simulate: export PYTHONHASHSEED := 0
simulate: export TZ := UTC
simulate: setup ## small worlds in virtual time, one known and three new; or days of one: SEED=1 DAYS=2 [ARGS="--troubles 24"]
ifneq ($(SEED)$(DAYS)$(ARGS),)
	@$(BIN)/python -m tests.simulation --seed $(or $(SEED),1) --days $(or $(DAYS),2) $(ARGS)
else
	@$(BIN)/python -m pytest -n 2 tests/simulation
endif

lint: setup ## style, types, import contracts, dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry .

fmt: setup ## put the code in shape
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

bench: setup ## the benchmark with its baselines (needs wrk)
	@$(BIN)/python -m bench.ingest

words: setup ## bring the operator's texts into operator.po, to be translated there, and take out what is gone
	@$(BIN)/pybabel --quiet extract --no-default-keywords --keyword msgid --add-location file --sort-by-file \
	  --output-file .operator.pot app
	@$(BIN)/pybabel --quiet update --domain operator --input-file .operator.pot --output-dir app/locales --locale ru \
	  --width 120 --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date; rm -f .operator.pot

generated: setup ## write env.example, the requirements' pins, the tables of settings and Grafana's files anew
	@$(BIN)/aisha-webhook config env-example > env.example
	@$(BIN)/aisha-webhook config readme docs/settings.md docs/settings.ru.md
	@$(BIN)/python deploy/grafana/make.py
	@$(UV) export --quiet --frozen --no-dev --no-emit-project --no-header --output-file requirements.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make generated" \
	  --output-file deploy/docker/build-requirements.txt deploy/docker/build-requirements.in

dist: setup ## build the wheel, the source archive and the SBOM (CycloneDX) into dist/
	@rm -rf dist
	@$(UV) build --quiet --out-dir dist
	@$(UV) venv --quiet dist/venv
	@$(UV) pip install --quiet --python dist/venv --require-hashes -r requirements.txt
	@$(UV) pip install --quiet --python dist/venv --no-deps dist/*.whl
	@$(UV) tool run --quiet --from cyclonedx-bom cyclonedx-py environment dist/venv/bin/python --validate \
	  --pyproject pyproject.toml --output-reproducible --output-format JSON --output-file dist/sbom.cdx.json

release-check: lint dist ## prove that what stands in dist/ may be released
	@RELEASE=1 $(BIN)/python -m pytest tests/release -n 0

ci: lint simulate test servers ## what CI runs, but for what needs programs from outside

.PHONY: help setup run demo test test-on servers faults e2e simulate lint fmt bench words generated dist release-check ci
