# What a developer types. All of it works from a fresh clone; a second run does only what changed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup check test demo bench lock clean

help: ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## everything in .venv, from the locked requirements; leaves .venv/bin/entrepot

$(VENV)/.ready: tools/setup.sh requirements/dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh tools/setup.sh
	@touch $@

check: setup ## style, types, layers, budgets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_architecture.py

test: setup check ## all of it, as the CI does
	$(BIN)/pytest $(PYTEST_ARGS)

demo: setup ## a registry serves a pipeline on real data, before your eyes
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

bench: setup build/peers/.ready build/serving-peers/.ready build/azurite/.ready ## measure, each figure beside its peer or its limit
	@sh tools/system-package.sh wrk wrk "bench_serve needs it"
	@sh tools/system-package.sh nginx nginx-light "a limit of bench_transfer"
	$(BIN)/python bench/run.py $(BENCH_ARGS)

# What we are measured beside; without it, figures stand alone.
build/peers/.ready build/serving-peers/.ready: build/%/.ready: requirements/%.txt | setup
	-@python=$(BIN)/python; . tools/index.sh && $(BIN)/uv venv --quiet --allow-existing -p $(BIN)/python $(@D) && \
		$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode -p $(@D)/bin/python $< && touch $@

build/azurite/.ready: requirements/azurite/package-lock.json
	-@mkdir -p $(@D) && cp requirements/azurite/package.json $< $(@D) && \
		npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent && touch $@

lock: setup ## resolve the requirements anew
	$(COMPILE) --upgrade pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --upgrade pyproject.toml requirements/build.in --extra dev -o requirements/dev.txt
	$(COMPILE) --upgrade requirements/peers.in -o requirements/peers.txt
	$(COMPILE) --upgrade requirements/serving-peers.in -o requirements/serving-peers.txt
	$(COMPILE) --upgrade requirements/sdk.in -o requirements/sdk.txt
	$(COMPILE) --upgrade requirements/fuzz.in -o requirements/fuzz.txt
	$(COMPILE:3.11=3.7) --upgrade --only-binary :all: requirements/serving.in \
		-o src/entrepot/runtime/serving/requirements.txt
	$(COMPILE) --upgrade --allow-unsafe requirements/az.in -o requirements/az.txt
	npm update --prefix requirements/azurite --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

clean: ## back to a fresh clone
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests examples bench -name __pycache__ -type d -prune -exec rm -rf {} +
