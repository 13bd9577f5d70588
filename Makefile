# Two commands on a fresh checkout: `make demo` and `make test`. Each makes .venv if it is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test browser check lint bench reproduce clean

# torch is pinned first: the plain requirement could otherwise bring a build with gigabytes of GPU libraries.
.venv/.train: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[train]"
	touch $@

.venv/.dev: .venv/.train
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: .venv/.train
	$(BIN)/add4rsc demo

# one thread a process: two test processes would otherwise fight over the cores
test: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# Debian's Chromium, if it is there or can be installed; without it the tests say so and are skipped
browser: .venv/.dev
	command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || (apt-get update -q && apt-get install -qy chromium) >/dev/null 2>&1 || true
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/serve \
		|| OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser --last-failed tests/serve  # sound plays in real time

lint: .venv/.dev
	$(BIN)/ruff format --check src tests benchmarks docs results reproduction
	$(BIN)/ruff check src tests benchmarks docs results reproduction
	$(BIN)/basedpyright
	$(BIN)/lint-imports

check: lint test

# make reproduce DATA=folder of the full ICBHI 2017 AST=audioset_10_10_0.4593.pth [MORE="--shard 1/4"]
reproduce: .venv/.train
	$(BIN)/python reproduction/reproduce.py --data-folder "$(DATA)" $(if $(AST),--ast "$(AST)") $(MORE)

bench: .venv/.dev
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf .venv demo
