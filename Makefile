# `make run` starts Banter; `make` alone lists the rest.

VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
BENCH ?= latency
AUDIT ?= pypi
FUZZ_SECONDS ?= 60

# The first Python that is new enough; it is run, not looked up, since a name may be there and not work.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done)

# Two stamps: the server's packages, and those for working on it. Chatterbox has an environment of its own,
# because it wants older packages, and 6 GB of them; so have the clients of other people.
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
CHATTERBOX := .venv-chatterbox
CHATTERBOX_READY := $(CHATTERBOX)/.ready
CLUSTER := .venv-cluster
CLUSTER_READY := $(CLUSTER)/.ready
CLIENTS := .venv-clients
CLIENTS_READY := $(CLIENTS)/.ready
CLIENTS_NODE := tests/clients/node
CLIENTS_NODE_READY := $(CLIENTS_NODE)/node_modules/.ready
PAGE_NODE := tests/page/node
PAGE_NODE_READY := $(PAGE_NODE)/node_modules/.ready
BIOME := $(PAGE_NODE)/node_modules/.bin/biome
HAS_NODE := node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCK := $(BIN)/uv pip compile --quiet --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--custom-compile-command 'make lock' $(LOCK_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help run setup test test-pace test-cluster test-page test-chatterbox test-clients fuzz lint lint-page format-page audit check bench wheel lock \
	browser screenshots clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN_READY) ## start the server (ARGS="--help" shows its options)
	@$(BIN)/python -m realtime $(ARGS)

setup: $(DEV_READY) ## make .venv with every pinned package, for working on Banter

test: $(DEV_READY) ## run the tests (PYTEST_ARGS="-k turns"), and those of the page's modules where node is there
	$(BIN)/python -m pytest --ignore tests/page -m "not pace and not cluster" $(PYTEST_ARGS)
	@tests=$$(find tests/page -name node_modules -prune -o -name '*.test.*js' -print 2>/dev/null | sort); \
	if test -z "$$tests"; then exit 0; fi; \
	if ! $(HAS_NODE); \
	then echo "The page's own tests were not run: they need node 20 or newer."; exit 0; fi; \
	node --test --test-reporter=spec $$tests

test-pace: $(DEV_READY) ## run the conversations that take as long as they take, and the faults (seven minutes)
	$(BIN)/python -m pytest --ignore tests/page -m pace $(PYTEST_ARGS)

test-cluster: $(CLUSTER_READY) ## run front ends behind a real HAProxy and pools on a real Ray (seven minutes; apt-get install haproxy)
	$(CLUSTER)/bin/python -m pytest tests/cluster $(PYTEST_ARGS)

test-page: $(DEV_READY) ## run the page in a Chromium (six minutes; axe needs node 20)
	@if $(HAS_NODE) && npm --version >/dev/null 2>&1; then $(MAKE) --no-print-directory $(PAGE_NODE_READY); fi
	$(BIN)/python -m pytest tests/page $(PYTEST_ARGS)

test-chatterbox: $(CHATTERBOX_READY) ## run Chatterbox's tests (Linux; installs torch: 6 GB)
	OMP_WAIT_POLICY=PASSIVE $(CHATTERBOX)/bin/python -m pytest tests/chatterbox $(PYTEST_ARGS)

test-clients: $(CLIENTS_READY) $(CLIENTS_NODE_READY) ## run other people's clients against the server (needs node 20)
	$(CLIENTS)/bin/python -m pytest tests/clients $(PYTEST_ARGS)

fuzz: $(DEV_READY) ## look for inputs that break something, with Atheris (Linux; FUZZ_SECONDS=60 for each target)
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(PIP) install --quiet --require-hashes -r requirements/fuzz.txt
	@for target in messages audio text uploads; do \
		$(BIN)/python -m tests.fuzz $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; done

lint: $(DEV_READY) ## ruff (lint and format) and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

lint-page: ## biome over the page's scripts and style, where node and npm are there
	@if ! { $(HAS_NODE) && npm --version >/dev/null 2>&1; }; \
	then echo "The page was not looked over: that needs node 20 or newer, and npm."; exit 0; fi; \
	$(MAKE) --no-print-directory $(PAGE_NODE_READY) && $(BIOME) check --error-on-warnings static tests/page

format-page: $(PAGE_NODE_READY) ## write the page's scripts as biome wants them
	$(BIOME) format --write static tests/page

# --strict: a package that the service does not know, or a service that does not answer, is a failure.
audit: $(DEV_READY) ## look for known weaknesses in the packages (asks pypi.org or, with AUDIT=osv, osv.dev) and in our code
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive realtime bootstrap
	@for lock in run cpu dev clients gpu chatterbox; do \
		echo "requirements/$$lock.txt"; \
		$(BIN)/pip-audit --strict --progress-spinner off --require-hashes --disable-pip \
			--vulnerability-service $(AUDIT) --requirement requirements/$$lock.txt || failed=1; \
	done; exit $${failed:-0}

check: lint lint-page test ## everything that must pass before a change lands

bench: $(DEV_READY) ## list the benchmarks and run one (BENCH=latency ARGS="--help")
	@for script in $$(grep -l '__main__' benchmarks/*.py); do \
		printf '  %-14s %s\n' "$$(basename $$script .py)" "$$(sed -n '1s/"""//gp' $$script)"; done
	$(BIN)/python -m benchmarks.$(BENCH) $(ARGS)

wheel: $(DEV_READY) ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

# Keeps a pin while pyproject.toml still allows it; LOCK_FLAGS=--upgrade takes the newest of everything.
lock: ## write requirements/ anew from pyproject.toml (LOCK_FLAGS=--upgrade)
	@test -x $(BIN)/uv || $(MAKE) setup
	$(LOCK) pyproject.toml --universal --group build --output-file requirements/run.txt
	$(LOCK) pyproject.toml --universal --group build --extra dev --constraints requirements/run.txt \
		--output-file requirements/dev.txt
	$(LOCK) --universal --group build --constraints requirements/run.txt --output-file requirements/build.txt
	$(LOCK) --group fuzz --output-file requirements/fuzz.txt
	$(LOCK) pyproject.toml --universal --extra openai --extra otel --constraints requirements/run.txt \
		--output-file requirements/cpu.txt
	$(LOCK) pyproject.toml --extra openai --extra otel --extra gpu --extra chatterbox \
		--overrides requirements/gpu-overrides.txt --python-platform x86_64-manylinux_2_28 \
		--output-file requirements/gpu.txt
	$(LOCK) pyproject.toml --group build --extra dev --extra openai --extra gpu --extra chatterbox \
		--overrides requirements/chatterbox-overrides.txt --constraints requirements/gpu.txt \
		--python-platform x86_64-manylinux_2_28 --output-file requirements/chatterbox.txt
	$(LOCK) pyproject.toml --universal --extra openai --extra otel --extra cluster \
		--constraints requirements/cpu.txt --output-file requirements/cpu-cluster.txt
	$(LOCK) pyproject.toml --extra openai --extra otel --extra gpu --extra chatterbox --extra cluster \
		--overrides requirements/gpu-overrides.txt --constraints requirements/gpu.txt \
		--python-platform x86_64-manylinux_2_28 --output-file requirements/gpu-cluster.txt
	$(LOCK) pyproject.toml --group build --extra dev --extra cluster --constraints requirements/dev.txt \
		--python-platform x86_64-manylinux_2_28 --output-file requirements/cluster.txt
	$(LOCK) pyproject.toml --universal --group build --group clients --extra dev --extra openai \
		--overrides requirements/clients-overrides.txt --constraints requirements/run.txt \
		--output-file requirements/clients.txt
	cd $(CLIENTS_NODE) && npm install --package-lock-only --no-audit --no-fund
	cd $(PAGE_NODE) && npm install --package-lock-only --no-audit --no-fund

browser: ## see whether the tests of the page find a Chromium
	@for browser in chromium chromium-browser google-chrome google-chrome-stable \
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do \
		path=$$(command -v "$$browser") && { echo "Found $$path"; exit 0; }; done; \
	echo "No Chromium found. Debian and Ubuntu: apt-get install chromium;" \
		"macOS: brew install --cask google-chrome."; exit 1

screenshots: $(DEV_READY) ## take the pictures of the page anew, into docs/images
	$(BIN)/python tests/page/screenshots.py docs/images

clean: ## remove the environments, caches and what was built
	rm -rf $(VENV) $(CHATTERBOX) $(CLUSTER) $(CLIENTS) $(CLIENTS_NODE)/node_modules $(PAGE_NODE)/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find realtime bootstrap benchmarks tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@if test -z "$(PYTHON)"; then \
		echo "Banter needs Python 3.11 or newer, and found none as python3.11, python3.12, python3.13" \
			"or python3. Install one, or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
		exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not a Python 3.11 or newer." >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }

$(RUN_READY): requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing Banter into $(VENV) (the first time, about 200 MB are fetched) ..."
	@$(PIP) install --quiet --require-hashes -r requirements/run.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_READY): $(RUN_READY) requirements/dev.txt
	@echo "Installing the tools for working on it (the first time, about 110 MB are fetched) ..."
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(CHATTERBOX_READY): requirements/chatterbox.txt pyproject.toml | $(BIN)/python
	@echo "Installing Chatterbox into $(CHATTERBOX) (the first time, about 3 GB are fetched) ..."
	@$(PYTHON) -m venv --clear $(CHATTERBOX)
	@$(CHATTERBOX)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps \
		--require-hashes -r requirements/chatterbox.txt
	@$(CHATTERBOX)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps \
		--no-build-isolation --editable .
	@touch $@

$(CLUSTER_READY): requirements/cluster.txt pyproject.toml | $(BIN)/python
	@echo "Installing Ray into $(CLUSTER) (the first time, about 300 MB are fetched) ..."
	@$(PYTHON) -m venv --clear $(CLUSTER)
	@$(CLUSTER)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps \
		--require-hashes -r requirements/cluster.txt
	@$(CLUSTER)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps \
		--no-build-isolation --editable .
	@touch $@

$(CLIENTS_READY): requirements/clients.txt pyproject.toml | $(BIN)/python
	@echo "Installing the clients into $(CLIENTS) (the first time, about 300 MB are fetched) ..."
	@$(PYTHON) -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps \
		--require-hashes -r requirements/clients.txt
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps \
		--no-build-isolation --editable .
	@touch $@

$(CLIENTS_NODE_READY): $(CLIENTS_NODE)/package-lock.json
	@$(HAS_NODE) || { \
		echo "The JavaScript clients need node 20 or newer, and npm." >&2; exit 1; }
	@cd $(CLIENTS_NODE) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE_NODE_READY): $(PAGE_NODE)/package-lock.json
	@cd $(PAGE_NODE) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
