# Two commands matter: `make demo` and `make test`. Both install what they lack.

.POSIX:
.PHONY: help build demo test check bench kill clean-data

TARGET_DIR = $$(scripts/target-dir)
CARGO = CARGO_TARGET_DIR="$(TARGET_DIR)" cargo
BINARY = $(TARGET_DIR)/release/headwater

help:
	@echo 'make demo        build, then show the music project from source to dashboard until Ctrl-C'
	@echo 'make test        everything continuous integration runs'
	@echo 'make check       formatting, lints and house rules'
	@echo 'make bench       measure and write bench/RESULTS.md; EVENTS="1 10 50" for millions of events'
	@echo 'make kill        200 random kills, every fault point, owners that come back; KILLS=n for another number'
	@echo 'make clean-data  remove what demos and projects in this checkout made'

build:
	@scripts/setup
	@scripts/ui
	$(CARGO) build --release -p headwater

demo: build
	@$(BINARY) demo music --stay $(DEMO)

test:
	@.ci/run

check:
	@scripts/setup
	@scripts/ui --modules
	npm --prefix ui run --silent check
	$(CARGO) fmt --all --check
	$(CARGO) run --quiet -p headwater-xtask -- tidy
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: build
	@scripts/setup --tests
	@bench/run --binary "$(BINARY)" --millions $${EVENTS:-1 10}

kill: build
	@scripts/setup --tests
	@python=$$(scripts/python) && \
	    "$$python" tests/kill/kill_up.py --binary "$(BINARY)" --kills $${KILLS:-200} && \
	    "$$python" tests/kill/kill_up.py --binary "$(BINARY)" --points && \
	    "$$python" tests/kill/materialise.py --binary "$(BINARY)" --kills $${KILLS:-200} --times 2 && \
	    "$$python" tests/kill/takeover.py --binary "$(BINARY)" && \
	    "$$python" tests/kill/power_cut.py --binary "$(BINARY)"

clean-data:
	rm -rf headwater-demo-* projects/*/.headwater
