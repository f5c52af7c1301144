# `make help` lists the targets; `make demo` and `make test` need nothing but make and Python 3.11.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help demo test check setup debian temporal server worker gateway simulator histories generate screenshots bench load batch-proof chaos format lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 14

demo: setup temporal ## Set everything up and send a handful of messages to simulated phones
	@$(BIN)/python -m tools.demo

test: setup debian temporal ## Set everything up and run every test
	@$(BIN)/python -m pytest -n 4

check: setup debian temporal ## Format, lint, types, tests and coverage: what CI runs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -n 4
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

setup: .venv/.ready ## Virtual environment with pinned packages (about a minute, once)

.venv/.ready: requirements-dev.txt pyproject.toml
	@echo "Setting up .venv with pinned packages (about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

debian: setup ## Debian packages that some tests need; installed where we are root of a container
	@$(BIN)/python -m tools.debian_packages

temporal: setup ## Temporal CLI and dev server at .venv/bin/temporal (built once a machine)
	@$(BIN)/python -m tools.dev_server install

server: temporal ## Temporal dev server with Web UI, history kept in .data/temporal.db
	@$(BIN)/python -m tools.dev_server run

worker: setup ## The worker; needs CGB_API_KEY and a Temporal server
	@$(BIN)/python worker.py

gateway: setup ## The HTTP gateway at GATEWAY_BIND (127.0.0.1:8080)
	@$(BIN)/send-whatsapp gateway

simulator: setup ## A stand-in for the provider on port 9090, key demo-key
	@$(BIN)/python -m simulator --port 9090 --key demo-key

histories: setup temporal ## Capture the histories of tests/replay anew, after a change of the workflow
	@$(BIN)/python -m pytest -q -n 0 tests/replay/capture.py

generate: setup ## Write docs/schema, docs/settings.md and .env.example from the code
	@$(BIN)/python -m send_whatsapp.contract.schema
	@$(BIN)/python -m tools.settings_docs

bench: setup temporal ## Measure on this machine and renew docs/performance.md (15 minutes)
	@missing=; for each in redis-server npm; do command -v $$each >/dev/null || missing+=" $$each"; done; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=" postgresql"; \
	[ -z "$$missing" ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; }
	@$(BIN)/python -m bench

screenshots: setup temporal ## Take the pictures of docs/images from a real run, with Debian's chromium
	@$(BIN)/python -m tools.screenshots

load: setup temporal ## Bursts of 2,000 requests at the gateway; what became of each (needs npm)
	@$(BIN)/python -m bench.load

batch-proof: setup temporal ## 5,000 rows through killed workers and a restarted server, row by row
	@$(BIN)/python -m bench.batch_proof

chaos: setup temporal ## Hundreds of sends while everything fails (about five minutes; ARGS="--seed 1")
	@$(BIN)/python -m tools.chaos $(ARGS)

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Pin every package anew, with hashes
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --extra runtime-build -o requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --extra dev --extra runtime-build -o requirements-dev.txt

clean: ## Remove what was set up and what the demo kept
	@rm -rf .venv .data .coverage .coverage.* build *.egg-info
