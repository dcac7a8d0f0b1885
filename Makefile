# Two commands, each from a bare clone:
#   make demo    set up, then train, evaluate, report and answer a query on real faces
#   make test    set up, then run the tests
# Both install what requirements/*.txt lock into .venv; a second run needs no network.
#   make triton  run the GPU kernels' tests in Triton's interpreter, without a GPU
#   make docs    build the site into build/docs, strictly
#   make bench   measure the losses beside other libraries'
#   make wheel   build a wheel for this platform and Python into dist/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := $(shell find src csrc -type f -not -name '*.so' -not -path '*/__pycache__/*') CMakeLists.txt pyproject.toml README.md

.PHONY: demo test check docs triton bench wheel clean

demo: $(VENV)/run.stamp $(VENV)/package.stamp
	$(BIN)/cospair demo

test: $(VENV)/dev.stamp $(VENV)/package.stamp
	$(BIN)/python -m pytest

triton: $(VENV)/dev.stamp $(VENV)/triton.stamp $(VENV)/package.stamp
	TRITON_INTERPRET=1 $(BIN)/python -m pytest tests/kernels/test_triton_gpu.py tests/kernels/test_triton_sweep.py

check: $(VENV)/dev.stamp $(VENV)/docs.stamp $(VENV)/package.stamp
	scripts/check

docs: $(VENV)/dev.stamp $(VENV)/docs.stamp $(VENV)/package.stamp
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

bench: $(VENV)/bench.stamp $(VENV)/package.stamp
	$(BIN)/cospair bench pairs
	$(BIN)/cospair bench all-pairs

# auditwheel names the oldest system that a Linux wheel runs on; elsewhere the build has the right name already.
wheel: $(VENV)/run.stamp $(VENV)/wheel.stamp
	@rm -rf build/wheel && mkdir -p dist
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	@if [ -x $(BIN)/auditwheel ]; then \
	  PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --wheel-dir dist build/wheel/*.whl \
	    >build/wheel/log 2>&1 || { cat build/wheel/log; exit 1; }; \
	else cp build/wheel/*.whl dist; fi
	@ls dist/*.whl

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "cospair needs Python 3.10 or newer, got $$($(PYTHON) --version); set PYTHON=python3.x"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.stamp: requirements/%.txt | $(VENV)/bin/python
	@echo "installing what $< locks (a minute or two)"
	@$(PIP) install --quiet --requirement $<
	@touch $@

# Built with the tools that the lock installed, so nothing is fetched for it.
$(VENV)/package.stamp: $(SOURCES) | $(VENV)/run.stamp
	@echo "building cospair"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@
