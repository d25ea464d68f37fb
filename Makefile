# Every target makes .venv itself. PYTHON picks the interpreter: python3.11 or newer.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(if $(shell $(p) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(p))))
VENV := .venv
BIN := $(VENV)/bin
NATIVE := setup.py pyproject.toml $(wildcard srtp/*.pyx srtp/*.px[di] srtp/core/*.[ch] srtp/kernels/*.[ch] sip/*.pyx)

.PHONY: demo test bench bench-proxy lint wheel clean

demo: $(VENV)/.built
	$(BIN)/securertc demo

test: $(VENV)/.built
	$(BIN)/python -m pytest

bench: $(VENV)/.built
	$(BIN)/python benchmarks/compare_srtp.py
	$(BIN)/python -m pytest benchmarks -p no:cacheprovider

bench-proxy: $(VENV)/.built
	$(BIN)/python benchmarks/proxy/run.py

lint: $(VENV)/.built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" cython-lint srtp sip

wheel: $(VENV)/.built
	$(BIN)/python -m build

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "securertc needs Python 3.11 or newer with venv (Debian: python3-venv), and found none; name one by PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.built: $(VENV)/.made $(NATIVE)
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info srtp/*.so srtp/session.c srtp/packet_batch.c srtp/secret.c sip/*.so sip/*.c
