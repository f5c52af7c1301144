# `make help` lists the targets. `make demo` and `make test` need only make and Python 3.11.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
SERVER_PORT ?= 7233
UI_PORT ?= 8233
SIMULATOR_PORT ?= 9090
.DEFAULT_GOAL := help

.PHONY: help demo test check setup system-packages temporal server worker gateway simulator \
	generate histories screenshots bench load batch-proof callback-proof api-fuzz chaos format \
	lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 17

demo: setup temporal ## Send a few messages to simulated phones
	@$(BIN)/python -m tools.demo

test: setup temporal ## Run all tests; those that need a missing system package are skipped
	@$(BIN)/python -m pytest -n 4

check: setup temporal ## Run what CI runs: format, lint, imports, types, tests, coverage
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache --no-logo pyproject.toml
	@$(BIN)/mypy .
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -n 4
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

setup: .venv/.ready ## Create .venv with pinned packages (about a minute, once)

.venv/.ready: requirements-dev.txt pyproject.toml
	@echo "Setting up .venv with pinned packages (about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

system-packages: ## Install the Debian packages that some tests and `make bench` need (as root)
	@$(PYTHON) tools/system_packages.py

temporal: setup ## Install the Temporal CLI as .venv/bin/temporal (built once per machine)
	@$(BIN)/python -m tools.temporal_cli

server: temporal ## Run a Temporal dev server with Web UI; it keeps its data in .data/temporal.db
	@$(BIN)/python -m tools.dev_server --port $(SERVER_PORT) --ui-port $(UI_PORT)

worker: setup ## Run the worker; needs CGB_API_KEY and a Temporal server
	@$(BIN)/python worker.py

gateway: setup ## Run the HTTP gateway on GATEWAY_BIND (127.0.0.1:8080)
	@$(BIN)/send-whatsapp gateway

simulator: setup ## Run the simulated provider on port 9090, with the key demo-key
	@$(BIN)/python -m simulator --port $(SIMULATOR_PORT) --key demo-key

generate: setup ## Write docs/schema, docs/settings.md and .env.example from the code
	@$(BIN)/python -m send_whatsapp.contract.schema
	@$(BIN)/python -m tools.settings_docs

histories: setup temporal ## Record the histories of tests/replay again, after a workflow change
	@$(BIN)/python -m pytest -q -n 0 tests/replay/capture.py tests/replay/capture_callbacks.py

screenshots: setup temporal ## Take the pictures in docs/images from a real run (needs chromium)
	@$(BIN)/python -m tools.screenshots

bench: setup temporal ## Measure on this machine and update docs/performance.md (25 minutes)
	@$(BIN)/python -m bench

load: setup temporal ## Send bursts of 2,000 requests to the gateway and count them (needs npm)
	@$(BIN)/python -m bench.load

batch-proof: setup temporal ## Send 5,000 rows, four times, while workers are killed and the server restarts
	@$(BIN)/python -m bench.batch_proof

api-fuzz: setup temporal ## Call the gateway with generated requests (schemathesis, 2 minutes)
	@$(BIN)/python -m tools.api_fuzz $(ARGS)

callback-proof: setup temporal ## Send 1,000 messages with callbacks while workers are killed (5 minutes)
	@$(BIN)/python -m tools.callback_proof

chaos: setup temporal ## Send 300 messages while everything fails (5 minutes; ARGS="--turns")
	@$(BIN)/python -m tools.chaos $(ARGS)

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Pin every package and its dependencies, with hashes
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --extra runtime-build -o requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --extra dev --extra runtime-build -o requirements-dev.txt

clean: ## Delete .venv, the data of the demo and the dev server, and build results
	@rm -rf .venv .data .coverage .coverage.* build *.egg-info
