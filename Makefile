# Every target makes .venv itself. PYTHON picks the interpreter: python3.11 or newer.
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(if $(shell $(p) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(p))))
VENV := .venv
BIN := $(VENV)/bin
GENERATED := srtp/session.c srtp/packet_batch.c srtp/secret.c sip/message/head_scanner.c sip/message/header_rows.c sip/message/message_writer.c
NATIVE := setup.py pyproject.toml $(wildcard srtp/*.pyx srtp/*.px[di] srtp/core/*.[ch] srtp/kernels/*.[ch] sip/message/*.pyx)

.PHONY: demo test bench bench-proxy lint wheel clean test-lowest

demo: $(VENV)/.built
	$(BIN)/securertc demo

# On all cores: each test file in one process, all that start peers in one.
test: $(VENV)/.built
	$(BIN)/python -m pytest -n $(or $(WORKERS),auto) --dist loadgroup

# What each dependency is used for, at the lowest version that pyproject.toml allows of it, and as an installed package.
LOWEST := build/lowest
LOWEST_PYTHON ?= $(or $(firstword $(foreach p,python3.11 python3.12,$(if $(shell $(p) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(p)))),$(PYTHON))
LOWEST_TESTS := tests/rtp/test_audio.py tests/srtp/test_session.py tests/srtp/test_batch.py tests/srtp/test_differential.py \
	tests/sdp/ice/test_stun.py tests/sdp/ice/test_ice_lite.py tests/sdp/dtls tests/sdp/mikey/test_authentication.py \
	tests/sip/transport/test_tls.py tests/sip/discovery/test_dns_resolver.py tests/sip/registrar/test_location_stores.py \
	tests/sip/transport/test_websocket.py tests/sip/transport/test_websocket_transport.py \
	tests/securertc/media/test_ice_agent.py tests/securertc/media/test_dtls_media.py tests/securertc/commands/test_command_mikey.py \
	tests/securertc/demo/test_demo_parts.py tests/security/test_c07_certificate_chains.py tests/security/test_c07_lowest_bounds.py

test-lowest: $(LOWEST)/.built
	PYTHONSAFEPATH=1 AT_LOWEST_BOUNDS=1 $(LOWEST)/bin/pytest -q -p no:cacheprovider $(LOWEST_TESTS)

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

# From a copy, so that no C that an old Cython wrote stays in the tree.
PACKAGED := srtp rtp sdp sip securertc setup.py pyproject.toml MANIFEST.in README.md CHANGELOG.md LICENSE
$(LOWEST)/.built: .ci/lowest_bounds.py $(NATIVE) $(shell find srtp rtp sdp sip securertc -name '*.py')
	$(LOWEST_PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST_PYTHON) .ci/lowest_bounds.py >$(LOWEST)/constraints.txt
	mkdir $(LOWEST)/source
	tar -c --exclude='*.so' $(addprefix --exclude=,$(wildcard $(GENERATED))) $(PACKAGED) | tar -x -C $(LOWEST)/source
	PIP_CONSTRAINT=$(abspath $(LOWEST))/constraints.txt $(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check '$(LOWEST)/source[test,dtls,ice,dns,redis,websocket]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info srtp/*.so sip/message/*.so $(GENERATED)
