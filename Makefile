# One command each:
#
#   make demo    the store at work on real text
#   make test    every test, Rust and Python
#   make check   formatting, lints, types
#   make soak    ten minutes of load on a server that is stopped and killed meanwhile
#   make wheel   the installable package, in dist/
#   make bench   speed and size beside other stores, and the semantic stage
#   make licences   the list of what is linked, after Cargo.lock has changed
#   make pictures   the screenshots of the monitoring page in docs/
#
# The first use of any of them sets everything up: a virtual environment in .venv, libclang, the ONNX Runtime library,
# the model, the extension module. It needs no root; it needs cargo, a C++ compiler and Python 3.10 or later. What takes
# long to make (RocksDB, the model) goes into a cache folder that every checkout shares.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
CACHE := $(or $(PRESTIGE_CACHE),$(HOME)/.cache/prestige)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
LIBCLANG := libclang==18.1.1
TYPESCRIPT := 7.0.2

# One target folder and one profile for everything, so that RocksDB is compiled once. The libclang path is part of
# what cargo compares, so it lies in the cache folder too.
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CACHE)/target)
export LIBCLANG_PATH := $(or $(LIBCLANG_PATH),$(CACHE)/libclang/clang/native)
export BINDGEN_EXTRA_CLANG_ARGS := $(or $(BINDGEN_EXTRA_CLANG_ARGS),-I$(shell gcc -print-file-name=include 2>/dev/null))
export PYO3_PYTHON := $(BIN)/python
export ORT_DISABLE_TELEMETRY := 1

MODEL := $(CACHE)/models/all-MiniLM-L6-v2/int8w
PUBLISHED := $(CACHE)/models/all-MiniLM-L6-v2/fp32/model.onnx
BUNDLED := python/prestige/models/all-MiniLM-L6-v2
RUST := $(shell find core embed index http python/src tests/rust -name '*.rs' -o -path 'http/src/page/*' -type f 2>/dev/null) \
        $(wildcard */Cargo.toml) Cargo.toml Cargo.lock .cargo/config.toml
EXTENSION := $(VENV)/.extension

# $(call quietly,COMMAND,LOG): what the command prints goes into the log, and to the terminal only if it fails.
quietly = ( $(1) ) >$(2) 2>&1 || { code=$$?; cat $(2) >&2; exit $$code; }

.PHONY: help
help: ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: $(EXTENSION) ## Show the store at work on real text
	@$(BIN)/prestige demo

.PHONY: test
test: test-rust test-python ## Run every test

.PHONY: test-rust
test-rust: $(VENV)/.packages $(BUNDLED)/model.onnx | rocksdb-notice
	@echo "== Rust tests"
	@export ORT_DYLIB_PATH=$$(ls $(CURDIR)/$(VENV)/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* | head -n 1); \
	export PRESTIGE_TEST_MODEL=$(MODEL); \
	if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --release --workspace --no-fail-fast; \
	else cargo test --release --workspace --lib --bins --tests --no-fail-fast; fi; \
	cargo test --release --workspace --doc --quiet

.PHONY: test-python
test-python: $(EXTENSION) browser
	@echo "== Python tests"
	@$(BIN)/python -m pytest -c python/pyproject.toml --rootdir . tests/python

# A Chromium for the tests of the monitoring page; where there can be none it says so, and they are skipped.
.PHONY: browser
browser:
	@tests/chromium.sh $(CACHE)/chromium

.PHONY: pictures
pictures: $(EXTENSION) browser ## Take the screenshots of the monitoring page in docs/: seven minutes
	@$(BIN)/python tests/python/monitor_pictures.py

.PHONY: soak
soak: $(EXTENSION) ## Load a server that is stopped and killed meanwhile: ten minutes
	@$(BIN)/python tests/python/soak.py

.PHONY: check
check: $(EXTENSION) check-page ## Check formatting, lints and types
	@echo "== Formatting and lints, Rust"
	@cargo fmt --all --check
	@cargo clippy --release --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --quiet
	@echo "== Formatting, lints and types, Python"
	@$(BIN)/ruff check --config python/pyproject.toml python models benchmarks examples tests
	@$(BIN)/ruff format --config python/pyproject.toml --check python models benchmarks examples tests
	@$(BIN)/mypy --config-file python/pyproject.toml python/prestige examples
	@cd python && $(BIN)/python -m mypy.stubtest prestige --mypy-config-file pyproject.toml
	@echo "== Licences"
	@$(BIN)/python python/licences.py --check

# The types of the page's scripts, which are in their comments. npm is needed for this alone.
.PHONY: check-page
check-page:
	@if command -v npm >/dev/null; then \
	  echo "== Types, JavaScript"; \
	  folder=$(CACHE)/typescript-$(TYPESCRIPT); \
	  test -x $$folder/node_modules/.bin/tsc || \
	    npm install --silent --no-fund --no-audit --no-save --prefix $$folder typescript@$(TYPESCRIPT); \
	  $$folder/node_modules/.bin/tsc -p http/src/page/jsconfig.json; \
	else echo "== Types, JavaScript: not checked, npm is missing"; fi

.PHONY: licences
licences: $(VENV)/.packages ## List what is linked, in python/THIRD-PARTY-LICENSES
	@$(BIN)/python python/licences.py

.PHONY: wheel
wheel: $(VENV)/.packages $(BUNDLED)/model.onnx | rocksdb-notice ## Build the installable package into dist/
	@echo "== Building the wheel (output: $(VENV)/wheel.log)"
	@$(call quietly,cd python && $(BIN)/maturin build --release --interpreter $(BIN)/python --out $(CURDIR)/dist,$(CURDIR)/$(VENV)/wheel.log)
	@ls -l dist/*.whl

.PHONY: bench
bench: $(EXTENSION) $(PUBLISHED) ## Measure everything but the large index, into docs/: 40 minutes, 12 GB of free disk
	@$(BIN)/python benchmarks/bench.py
	@$(BIN)/python benchmarks/bench.py --suite semantic

.PHONY: bench-semantic
bench-semantic: $(EXTENSION) $(PUBLISHED) ## Measure the semantic stage alone, into docs/: ten minutes
	@$(BIN)/python benchmarks/bench.py --suite semantic

.PHONY: bench-large
bench-large: $(EXTENSION) ## Measure searches among 1,000,000 vectors: an hour the first time, 8 GB of the cache folder
	@$(BIN)/python benchmarks/bench.py --suite large

.PHONY: bench-http
bench-http: $(EXTENSION) ## Measure the service over HTTP, into docs/: five minutes
	@cargo build --release --workspace --example http_load --example http_constant
	@$(BIN)/python benchmarks/bench.py --suite http --no-peers

.PHONY: bench-quick
bench-quick: $(EXTENSION) $(PUBLISHED) ## The same with small stores: under five minutes, changes nothing
	@$(BIN)/python benchmarks/bench.py --quick
	@$(BIN)/python benchmarks/bench.py --quick --suite semantic

# The extension module, installed into the virtual environment so that Python edits take effect at once.
$(EXTENSION): $(VENV)/.packages $(BUNDLED)/model.onnx $(RUST) python/pyproject.toml | rocksdb-notice
	@echo "== Building the extension module (output: $(VENV)/extension.log)"
	@$(call quietly,source $(BIN)/activate && cd python && maturin develop --release,$(CURDIR)/$(VENV)/extension.log)
	@touch $@

.PHONY: rocksdb-notice
rocksdb-notice: prerequisites $(CACHE)/libclang/.installed
	@if ! ls $(CARGO_TARGET_DIR)/release/build/librocksdb-sys-*/out/librocksdb.a >/dev/null 2>&1; then \
	  echo "== RocksDB is compiled once, into $(CARGO_TARGET_DIR): about 30 minutes on two cores, 8 on eight"; fi

# A model built by models/build.py, verified there against the hashes of models/manifest.toml.
$(BUNDLED)/model.onnx: $(VENV)/.packages $(wildcard models/*)
	@echo "== Model: all-MiniLM-L6-v2"
	@$(BIN)/python models/build.py --cache $(CACHE)
	@mkdir -p $(@D) && cp $(MODEL)/* $(@D)/ && touch $@

# The same model with the published weights, beside which the benchmark has the bundled ones.
$(PUBLISHED): | $(VENV)/.packages
	@echo "== Model: all-MiniLM-L6-v2, as published"
	@$(BIN)/python models/build.py --cache $(CACHE) --form fp32

$(VENV)/.packages: python/requirements-dev.txt models/requirements.txt | prerequisites
	@echo "== Python packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r python/requirements-dev.txt -r models/requirements.txt
	@touch $@

$(CACHE)/libclang/.installed: | $(VENV)/.packages
	@echo "== libclang (reads RocksDB's headers) into $(CACHE)/libclang"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(CACHE)/libclang $(LIBCLANG)
	@touch $@

.PHONY: prerequisites
prerequisites:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.92 or later, https://rustup.rs" >&2; exit 1; }
	@command -v gcc >/dev/null && command -v g++ >/dev/null || \
	  { echo "A C and C++ compiler is missing: install gcc and g++ (Debian: build-essential)" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
	  2>/dev/null || { echo "Python 3.10 or later with venv is missing (Debian: python3-venv), or name one: make PYTHON=…" >&2; exit 1; }
