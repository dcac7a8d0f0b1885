# Two commands, each from a bare clone:
#   make demo    set up, then train, evaluate, report and answer a query on real faces
#   make test    set up, then run the tests
# Both install what requirements/*.txt lock into .venv; a second run needs no network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := $(shell find src csrc -type f -not -name '*.so' -not -path '*/__pycache__/*') CMakeLists.txt pyproject.toml README.md

.PHONY: demo test check clean

demo: $(VENV)/run.stamp $(VENV)/package.stamp
	$(BIN)/cospair demo

test: $(VENV)/dev.stamp $(VENV)/package.stamp
	$(BIN)/python -m pytest

check: $(VENV)/dev.stamp $(VENV)/package.stamp
	scripts/check

clean:
	rm -rf $(VENV) build

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
