# `make help` says what can be made. Needed: Rust, a C compiler and Python 3.

CARGO ?= cargo
CC ?= cc
PYTHON ?= python3
CFLAGS ?= -O2 -g
# 1: `make demo` runs over wss://.
TLS ?= 0
# How many seconds the server of `make demo` waits before it closes a connection.
DEMO_SECONDS ?= 5

OUT := target/release
EXAMPLES := client hello_server echo_server chat_server tls_server
PROGRAMS := $(EXAMPLES:%=$(OUT)/c/%)

.PHONY: all shared static examples demo test bench clean help

## all        libwsabi.so and libwsabi.a, optimised across crates, in target/release (the default)
all: shared static

# Each kind on its own: where cargo makes several at once, it leaves link-time optimisation off.
# Cargo knows whether there is anything to do. Programs look for the library under its SONAME.
shared:
	$(CARGO) rustc --release --lib --crate-type cdylib
	ln -sf libwsabi.so $(OUT)/$$(readelf -d $(OUT)/libwsabi.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')

static:
	$(CARGO) rustc --release --lib --crate-type staticlib

## examples   the C examples, in target/release/c
examples: $(PROGRAMS)

$(OUT)/c/%: examples/c/%.c examples/c/pem.h include/wsabi.h | shared
	mkdir -p $(@D)
	$(CC) -std=c99 -Wall -Wextra -Wpedantic $(CFLAGS) -pthread -Iinclude -o $@ $< \
	    -L$(OUT) -lwsabi -Wl,-rpath,'$$ORIGIN/..'

## demo       runs the C and the Python client against the C server (DEMO_SECONDS=5). TLS=1: over
##            wss://, with a certificate made on the spot and verified by the clients
demo: shared $(PROGRAMS)
	CLIENT=$(OUT)/c/client SERVER=$(OUT)/c/hello_server PYTHON='$(PYTHON)' \
	    MAKE_CERTIFICATE='$(if $(filter 1,$(TLS)),$(CARGO) run --example certificate)' \
	    WSABI_LIBRARY=$(CURDIR)/$(OUT)/libwsabi.so sh examples/demo.sh $(DEMO_SECONDS)

## test       everything that a change must pass
test:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) test
	$(MAKE) demo DEMO_SECONDS=0.2
	$(MAKE) demo DEMO_SECONDS=0.2 TLS=1

## bench      the measurements
bench:
	$(CARGO) bench

## clean      removes what was made
clean:
	$(CARGO) clean

help:
	@sed -n 's/^## //p' Makefile
