# `make bench` and `make test` do everything on a fresh machine. PYTHON=/path chooses the interpreter.
.DEFAULT_GOAL := help
.PHONY: help setup bench chaos soak selftest test test-unit test-containers test-all images lint benchmark-harness benchmark-queue benchmark-containers clean

BIN := .venv/bin
# Integration tests wait half of their time, so three files at a time; unit tests do not. By file, so that files share
# what they start, and in the order of tests/conftest.py: xdist would put files of few tests last, and the longest
# are among them. Bytecode is kept: hundreds of processes start, and each would compile us anew, and pytest all tests.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
export PYTHON

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

setup: ## install what is missing, and say so first
	@scripts/setup

bench: setup ## the quick experiment, and where its page is (EXPERIMENT=standard for another)
	@$(BIN)/bench run $(or $(EXPERIMENT),quick)

chaos: setup ## kill every part of the queue while jobs stream through it (ARGS="--short", "--ladder", …)
	@$(BIN)/bench chaos $(ARGS)

soak: setup ## half an hour at 80 % load: does anything grow? (ARGS="--minutes 5")
	@$(BIN)/bench soak $(ARGS)

test: ## all tests, with real services (ARGS="-k box" to choose)
	@scripts/setup --tests
	@$(PYTEST) -n 3 $(ARGS)

test-unit: ## the tests that start nothing
	@scripts/setup --tests --no-system
	@$(PYTEST) -n logical --maxprocesses 8 tests/unit $(ARGS)

test-containers: ## the tests of the containers, with a Docker engine; builds the images first
	@scripts/setup --tests --no-system
	@if docker version >/dev/null 2>&1; then docker compose --profile '*' build --quiet; fi
	@$(PYTEST) -n 2 tests/containers $(ARGS)

test-all: test test-containers ## both

images: ## build every image, and show how large each is
	@docker compose --profile '*' build --quiet
	@docker image ls --filter "reference=queuebench/*:$${QUEUEBENCH_TAG:-latest}" --format '{{.Repository}}\t{{.Size}}' | sort

lint: ## style, types, and which package may import which
	@scripts/setup --tests --no-system
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

selftest: setup ## the harness against servers whose truth is known (ARGS="--quick")
	@$(BIN)/bench selftest $(ARGS)

benchmark-harness: setup ## what the harness itself costs
	@$(BIN)/python scripts/benchmark_harness.py

benchmark-queue: setup ## what the queue's guarantees cost, beside a bare floor
	@$(BIN)/python scripts/benchmark_queue.py

benchmark-containers: setup ## what containers add to the same systems as processes
	@$(BIN)/python scripts/benchmark_containers.py

clean: ## remove what was made here, but for the reports
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
