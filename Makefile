# Every recipe works on a bare machine with python3 (3.11 or newer), pip and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
UV := PYTHONPATH=.tools $(PYTHON) -m uv
BIN := .venv/bin

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

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

test: setup ## every test that needs no root, on SQLite and PostgreSQL
	@$(BIN)/python -m pytest -n 2

faults: setup ## kill, power cut, races, outages (needs strace; some need root)
	@FAULTS=full $(BIN)/python -m pytest tests/faults -p no:randomly -s

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

generated: setup ## write env.example, requirements.txt and the README's settings table anew
	@$(BIN)/aisha-webhook config env-example > env.example
	@$(BIN)/aisha-webhook config readme README.md
	@$(UV) export --quiet --frozen --no-dev --no-emit-project --no-header --output-file requirements.txt

ci: lint test ## what CI runs

.PHONY: help setup run demo test faults lint fmt bench generated ci
