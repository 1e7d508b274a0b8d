# `make up` and `make test` are all that a newcomer needs; `make help` lists the rest.
#
# Build products live outside the clone, because RocksDB takes minutes to compile and a second clone should not pay again.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/keelson/target
export KEELSON_TOOLS ?= $(HOME)/.cache/keelson/tools
export KEELSON_TEST_ETCDCTL_34 ?= $(KEELSON_TOOLS)/etcd-3.4/etcdctl
export KEELSON_TEST_ETCD_34 ?= $(KEELSON_TOOLS)/etcd-3.4/etcd
export KEELSON_TEST_ETCDCTL_35 ?= $(KEELSON_TOOLS)/etcd-3.5/etcdctl
export KEELSON_TEST_ETCD_35 ?= $(KEELSON_TOOLS)/etcd-3.5/etcd
bin := $(CARGO_TARGET_DIR)/debug
# A workspace of its own.
rust_clients := crates/keelson/tests/clients/rust/Cargo.toml
env = eval "$$($(bin)/keelson dev env)"

.DEFAULT_GOAL := help
.PHONY: help build up down test bench check fmt

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build `keelson` and `keelctl`
	@scripts/install build
	cargo build -p keelson -p keelson-cli

up: build ## Run the three-node cluster and the sample workload
	$(bin)/keelson dev up --members 3 --nodes 3
	@$(env) && \
	  keelctl apply -f cluster/manifests/guestbook.yaml && \
	  keelctl rollout status deployment/guestbook && \
	  echo && keelctl get nodes && echo && keelctl get pods -o wide

down: ## End the cluster; its data stays
	$(bin)/keelson dev down

test: ## Run all the tests
	@scripts/install test
	cargo test --workspace

bench: ## Run the benchmarks beside etcd and print their figures (forty minutes)
	@scripts/install test
	scripts/release -p keelson -p keelson-bench
	$(CARGO_TARGET_DIR)/release/keelson-bench all --json $(CARGO_TARGET_DIR)/bench.json --plot $(CARGO_TARGET_DIR)/bench.svg

check: ## Check formatting, lints and the architecture
	cargo fmt --all --check
	cargo fmt --manifest-path $(rust_clients) --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --locked --manifest-path $(rust_clients) --all-targets -- -D warnings
	cargo test --workspace --test architecture

fmt: ## Format the code
	cargo fmt --all
	cargo fmt --manifest-path $(rust_clients)
