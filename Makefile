# One word for each thing to do. `make` lists them.
#
# The setup targets install Debian packages, and only those that are missing; as root, or with sudo.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
CARGO ?= cargo
PLAYERS := tests/e2e/players
DEMO_PAGE := src/demo/page

# cmake is what zlib-ng is built with; the C compiler also builds SQLite.
BUILD_PACKAGES := cmake gcc g++ make pkg-config
E2E_PACKAGES := openssl apache2-bin redis-server haproxy varnish iproute2 ffmpeg nginx \
	libnginx-mod-rtmp chromium mpv procps \
	gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-libav
BENCH_PACKAGES := wrk nginx haproxy varnish ffmpeg redis-server

# $(call install,packages): asks for what dpkg does not have. Debian starts nginx, HAProxy and
# Varnish as services when they are installed; nothing here wants that.
define install
	missing=""; \
	for package in $(1); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing$$missing"; \
		$(SUDO) apt-get update -q; \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then \
			printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $$policy >/dev/null; \
			$(SUDO) chmod +x $$policy; \
			trap "$(SUDO) rm -f $$policy" EXIT; \
		fi; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi
endef

.PHONY: help demo test e2e e2e-short soak e2e-table bench fuzz check fmt build players demo-page \
	setup setup-build setup-node setup-e2e setup-bench clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup-build demo-page ## two packagers, the proxy and a page that kills them: open the printed address
	$(CARGO) run --locked -- demo

test: setup-build setup-e2e players ## everything that must hold, the short end-to-end runs included
	$(CARGO) test --locked --no-fail-fast

e2e: setup-build setup-e2e players ## every fault before every player (over an hour); results in target/e2e
	$(CARGO) test --locked --test e2e -- --include-ignored --test-threads 1

e2e-short: setup-build setup-e2e players ## the end-to-end runs that `make test` holds
	$(CARGO) test --locked --test e2e

soak: setup-build setup-e2e players ## ten minutes of random faults on a fleet (SEGUE_SOAK_SEED=n for others); its record in target/e2e/soak
	SEGUE_SOAK_SECONDS=$${SEGUE_SOAK_SECONDS:-600} $(CARGO) test --locked --test e2e -- --nocapture random_faults_go_unnoticed

e2e-table: setup-node ## one table of what the end-to-end runs found: feature by fault by player
	@node $(PLAYERS)/table.mjs

bench: setup-build setup-bench ## CPU per request beside bare Pingora, nginx, HAProxy and Varnish
	benches/run

fuzz: setup-build ## the fuzz targets, a minute each; what they find of new goes to target/corpus
	command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	for target in $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs))); do \
		mkdir -p target/corpus/$$target; \
		$(CARGO) fuzz run $$target --sanitizer none target/corpus/$$target fuzz/corpus/$$target -- -max_total_time=60; \
	done

check: setup-build ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt: ## format the sources
	$(CARGO) fmt

build: setup-build ## the release binary, target/release/segue
	$(CARGO) build --locked --release

setup: setup-build setup-node setup-e2e setup-bench ## all Debian packages

setup-build: ## what the build needs
	@$(call install,$(BUILD_PACKAGES))

setup-node: ## node and npm, Debian's where there are none
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		$(call install,nodejs npm); \
	fi

setup-e2e: ## packagers and players of the end-to-end tests
	@$(call install,$(E2E_PACKAGES))

setup-bench: ## what the benchmark compares with
	@$(call install,$(BENCH_PACKAGES))

players: setup-node $(PLAYERS)/node_modules/.package-lock.json ## the JavaScript players, by their lock file

demo-page: setup-node $(DEMO_PAGE)/node_modules/.package-lock.json ## hls.js for the demo's page, by its lock file

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

clean: ## what was built and installed here
	$(CARGO) clean
	rm -rf $(PLAYERS)/node_modules $(DEMO_PAGE)/node_modules
