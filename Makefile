# `make help` lists what there is. Written for GNU make 3.81 (macOS) and any POSIX shell.
# Windows has no make: README.md says what to type there.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test cases test-lowest test-pyside6 audit lint docs screenshots clean system-libs-window system-libs-test moved

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PYTHONS := python3.11 python3.12 python3.13 python3 python3.14 python

# Settings: make demo SAMPLE=2d, make demo IMAGE="my stack.tif" PSF=psf.tif, make test PYTEST_ARGS="-k psf",
# PYTHON=/path/to/python to choose the interpreter of a new .venv. They reach the recipes through the
# environment, so that spaces and quotes in a path survive.
SAMPLE ?= 3d
IMAGE ?=
PSF ?=
PYTHON ?=
PYTEST_ARGS ?=
# Test processes: one a core, at most four (each takes about 1 GB). make test WORKERS=1 runs in one process.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); [ $$n -le 4 ] || n=4; echo $$n)
# Generated cases of make cases.
N ?= 50000
# More for the demo, such as the optics of your image: DEMO_ARGS="--na 1.4 --voxel-um 0.3 0.1 0.1".
DEMO_ARGS ?=
export SAMPLE IMAGE PSF PYTHON
# Waiting OpenMP threads must sleep, not spin: with spinning, a busy machine trains twenty times slower.
export OMP_WAIT_POLICY := PASSIVE

XVFB := env -u WAYLAND_DISPLAY QT_QPA_PLATFORM=xcb xvfb-run -a -s "-screen 0 1600x1000x24"
MAC := $(filter Darwin,$(shell uname -s))
HAS_DISPLAY := $(strip $(DISPLAY) $(WAYLAND_DISPLAY) $(MAC))

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  Settings: SAMPLE=3d|2d, IMAGE=path, PSF=path (demo); PYTEST_ARGS=... (test); PYTHON=python3.12 (new .venv)"

demo: system-libs-window $(STAMP)  ## napari with a sample, or IMAGE=path [PSF=path], deconvolving
	@set -- --sample "$$SAMPLE"; \
	[ -z "$$IMAGE" ] || set -- "$$@" --image "$$IMAGE"; \
	[ -z "$$PSF" ] || set -- "$$@" --psf "$$PSF"; \
	$(if $(HAS_DISPLAY),,set -- "$$@" --headless; $(XVFB)) $(PY) -m selfdeconv_tools.demo "$$@" $(DEMO_ARGS)

# Each process has its own virtual screen, so no window takes the focus of another, and one thread for numbers.
test: export OMP_NUM_THREADS := 1
test: system-libs-test $(STAMP)  ## the whole test suite
	@if [ -n "$(HAS_DISPLAY)$$QT_QPA_PLATFORM" ] || ! command -v xvfb-run >/dev/null 2>&1; then screen=; \
	else screen='$(XVFB) '; fi; \
	if [ "$(WORKERS)" -gt 1 ]; then \
	  $(PY) -m pytest --dist loadfile --tx "$(WORKERS)*popen//python=$$screen$(PY)" $(PYTEST_ARGS); \
	elif [ -n "$$screen" ]; then $(XVFB) $(PY) -m pytest $(PYTEST_ARGS); \
	else $(PY) -m pytest $(PYTEST_ARGS); fi

# What needs no window, at the lowest versions that pyproject.toml allows (torch as in .ci/constraints.txt). Left out are
# tests of the docks' names, of the OME schema (ome-types needs more there) and of the last digits that tifffile stores.
test-lowest: $(STAMP)  ## the fast tests at the lowest allowed versions, in .venv-lowest
	@[ -x .venv-lowest/bin/python ] || $(PY) -m venv .venv-lowest
	$(PY) .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt \
	  -c .venv-lowest/constraints.txt -e ".[test]"
	.venv-lowest/bin/python -m pytest -p no:pytest-qt tests/config tests/arrays tests/network tests/training/test_checkpoint.py \
	  tests/io/test_images.py tests/io/test_formats.py tests/io/test_ome_zarr.py tests/io/test_outputs.py \
	  -k "not a_new_preset_is_two_files and not follows_the_schema" $(PYTEST_ARGS)

# PySide6 6.11 and 6.12 lose references to None, which ends Python 3.11 after a while.
test-pyside6: system-libs-test $(STAMP)  ## the tests of the docks with PySide6, in .venv-pyside6
	@[ -x .venv-pyside6/bin/python ] || $(PY) -m venv .venv-pyside6
	.venv-pyside6/bin/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt \
	  "napari[pyside6,optional]" "PySide6<6.11" -e ".[napari,test]"
	QT_API=pyside6 $(XVFB) .venv-pyside6/bin/python -m pytest tests/_gui/forms tests/_gui/layers tests/_gui/panels \
	  tests/_gui/plugin tests/_gui/runs $(PYTEST_ARGS)

audit: $(STAMP)  ## known vulnerabilities of what is installed (pip-audit asks PyPI)
	@[ -x .venv-audit/bin/pip-audit ] || { $(PY) -m venv .venv-audit && \
	  .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	@.venv-audit/bin/pip-audit --skip-editable --path "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  > .venv-audit/report.txt; status=$$?; cat .venv-audit/report.txt; \
	unknown=$$(grep -c "could not be audited" .venv-audit/report.txt); \
	if [ "$$unknown" -gt 3 ]; then echo "$$unknown packages were not audited: PyPI did not answer for them" >&2; exit 1; fi; \
	exit $$status

cases: $(STAMP)  ## the tests of generated cases with N of them: make cases N=50000
	SELFDECONV_CASES=$(N) $(PY) -m pytest -q -m cases --ignore=tests/_gui --timeout=3600 $(PYTEST_ARGS)

lint: $(STAMP)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

docs: $(STAMP)  ## the documentation as HTML in docs/_build: tables and plots from docs/data, then the pages; a warning is an error
	@$(PY) -c "import furo, myst_parser" 2>/dev/null || \
	  $(PY) -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[docs]"
	$(PY) -m selfdeconv_tools.pages docs
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

screenshots: system-libs-window $(STAMP)  ## make the pictures in docs/images
	@if [ -z "$(MAC)" ] && command -v xvfb-run >/dev/null 2>&1; then \
	  $(XVFB) $(PY) -m selfdeconv_tools.screenshots docs/images; \
	else \
	  $(PY) -m selfdeconv_tools.screenshots docs/images; \
	fi
	$(PY) -m selfdeconv_tools.picture docs/images/methods.png
	$(PY) -m selfdeconv_tools.sections docs/images/widefield.png --seed 0 --methods input rl-auto quick

clean:  ## remove what was built, the caches and demo/ (for a new environment: rm -r .venv)
	rm -rf demo docs/_build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

system-libs-window:
	@sh .ci/system_libs.sh window

system-libs-test:
	@sh .ci/system_libs.sh test

# The stamp holds the folder it was made for: a copied or moved checkout is installed again.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): moved
endif
moved:

# A Debian python may come without ensurepip (package python3-venv): then `-m venv` cannot work.
$(STAMP): pyproject.toml .ci/constraints.txt
	@find_python() { \
	  found=; \
	  if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; else set -- $(PYTHONS); fi; \
	  for python in "$$@"; do \
	    if "$$python" -c "import sys$$module; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; \
	    then found=$$python; return; fi; \
	  done; \
	}; \
	if ! $(PY) -c "import sys, pip; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; then \
	  module=; find_python; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.11 or newer that runs: $${PYTHON:-looked for $(PYTHONS)}" >&2; \
	    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv; others: https://www.python.org)," >&2; \
	    echo "or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	  fi; \
	  module=", ensurepip, venv"; find_python; \
	  if [ -z "$$found" ]; then sh .ci/system_libs.sh venv && find_python; fi; \
	  if [ -z "$$found" ]; then \
	    echo "The Python that was found has no ensurepip and cannot make an environment." >&2; \
	    echo "Debian, Ubuntu: apt-get install python3-venv (or python3.12-venv, for that version)." >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$found"; \
	  "$$found" -m venv --clear $(VENV) || exit 1; \
	fi; \
	if [ -e $@ ]; then quiet=--quiet; else quiet=; fi; \
	echo "Installing into $(VENV): about 2 GB the first time, a minute or more ..."; \
	$(PY) -m pip install $$quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[all,test]" && \
	printf '%s\n' "$(CURDIR)" > $@
