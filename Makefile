# make demo        boot the demo image and show its web server (ARGS=--login: stay at the login prompt)
# make test        all that the project's CI runs; as root
# make soak        the loops of the tests in full, and the tests in virtual hosts; as root, an hour or more
# make bench       compare with other container tools, as far as they are installed; as root
# make check       formatting and lints
# make release     the binary to install, one static file
# make man         the manual pages, into target/man
# make deps        install what all of these need from the distribution
# make vm          prepare the virtual test hosts
# make vm-test     run the tests that need a host with systemd, in the virtual ones

CARGO ?= cargo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
TRIPLE = $(shell uname -m)-unknown-linux-gnu
RELEASE = $(TARGET_DIR)/$(TRIPLE)/release/nsrun

.DEFAULT_GOAL := help
.PHONY: help demo test soak bench check release man deps vm vm-test build-tests

help:
	@sed -n 's/^# make/make/p' Makefile

deps:
	tests/run/deps

# Proc macros and build scripts run on the host and cannot be static: --target keeps them apart.
release:
	RUSTFLAGS='-C target-feature=+crt-static' \
	$(CARGO) build --release --locked --package nsrun --target $(TRIPLE)
	@echo "built $(RELEASE)"

man: release
	$(RELEASE) man $(TARGET_DIR)/man

demo: deps release
	tests/run/demo $(RELEASE) $(ARGS)

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# nsrun-fault fails on demand; what it shares with nsrun is compiled once.
build-tests:
	$(CARGO) build --locked --package nsrun --features fault
	cp $(TARGET_DIR)/debug/nsrun $(TARGET_DIR)/debug/nsrun-fault
	$(CARGO) build --locked --package nsrun
	$(CARGO) build --locked --package nsrun-tests --bins

test: build-tests
	tests/run/all

soak: build-tests
	NSRUN_TEST_SOAK=1 tests/run/all
	$(MAKE) vm-test

vm:
	tests/vm/prepare

vm-test: vm build-tests
	tests/run/vm
	tests/run/host-boot

bench: release
	$(CARGO) build --release --locked --package nsrun-tests --bins
	NSRUN_BIN=$(RELEASE) $(TARGET_DIR)/release/bench $(ARGS)
