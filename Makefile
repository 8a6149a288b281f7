# make demo     everything, from nothing to live recommendations (ARGS="--events 3000")
# make test     the checks and every test
# make install  .venv with the command in .venv/bin/tidemill
# make check    formatting, lint, types, import rules
# make bench    how fast the parts are, beside what they are compared with (ARGS="serve --json")
# make bench-quality  how well it learns, on recorded logs (TIDEMILL_DATA=folder)
# make faults   the tests of whole stacks that take minutes each
# make chaos    the stack broken on purpose, and compared with a reference (KILLS, EVENTS, SEED)
# make audit    vulnerabilities, bill of materials, licences, hashes, secrets (reports in audit/)
# make lock     resolve requirements.lock anew

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Importing writes the bytecode of what roles import, where the environment forbids it elsewhere:
# without it every start compiles 4,000 modules anew.
COMPILED := env PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=
ARGS ?=
KILLS ?= 100
EVENTS ?= 200000
SEED ?= 1

.PHONY: demo test test-parts test-processes install check services bench bench-tools bench-quality faults chaos audit lock clean

demo: install
	$(BIN)/tidemill demo $(ARGS)

# Two at once: tests of whole processes mostly wait. Where ARGS choose none of one kind, that's no error (5).
test: install services check
	@$(MAKE) --no-print-directory -j2 test-parts test-processes

test-parts: install
	$(BIN)/pytest $(ARGS) --ignore=tests/system || [ $$? = 5 ]

test-processes: install
	$(BIN)/pytest $(ARGS) tests/system || [ $$? = 5 ]

install: $(STAMP)

# uv itself comes from the lock too, by its hash; then it installs all the rest in parallel.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; choose one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	@awk '/^uv==/{p=1; print; next} /^[^ ]/{p=0} p' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(COMPILED) $(BIN)/python -m infra.bench.imports
	@touch $(STAMP)

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Redis and Prometheus are Debian packages; without them their tests are skipped and say so.
services:
	@command -v redis-server >/dev/null && command -v prometheus >/dev/null || \
	  { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server prometheus; } || \
	  echo "redis-server or prometheus is missing: the tests that need them will be skipped"

bench: install bench-tools
	$(BIN)/tidemill bench $(ARGS)

# What the benches are compared with stays out of the product's environment.
bench-tools: install
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/bench
	$(BIN)/uv pip sync --quiet --python .venv/bench/bin/python --require-hashes requirements-bench.lock

# How well it learns, on recorded logs and simulated shops; hours.
bench-quality: install
	for name in shop transport shifts drift corruption update_rules quality; do $(BIN)/python -m tests.bench $$name $(ARGS) || exit; done

# Whole stacks, broken and looked at for minutes each: what `make test` leaves out.
faults: install services
	$(BIN)/pytest -m slow $(ARGS)

chaos: install services
	$(BIN)/python -m tests.chaos --kills $(KILLS) --events $(EVENTS) --seed $(SEED) $(ARGS)

# The auditors live in a folder of their own: they change nothing of what they look at.
audit: install
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/audit
	$(BIN)/uv pip sync --quiet --python .venv/audit/bin/python --require-hashes requirements-audit.lock
	$(BIN)/python -m tests.security_audit --tools .venv/audit/bin --out audit

lock: install
	$(BIN)/uv pip compile pyproject.toml --universal --extra dev --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock
	$(BIN)/uv pip compile --group audit --universal --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements-audit.lock
	$(BIN)/uv pip compile --group bench --universal --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements-bench.lock

clean:
	rm -rf .venv audit .tidemill .pytest_cache .mypy_cache .ruff_cache .hypothesis
