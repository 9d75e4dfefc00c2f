# Short names for the scripts in tools/, which also run without make.
VENV ?= $(or $(MIM_PLUGINS_VENV),.venv)

.PHONY: help install downstream check-env demo test test-fast test-newest lint fix

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

install:  ## make the environment for pre-training and classification, with pytest and ruff
	bash tools/setup_env.sh --tests

downstream:  ## add mmcv's compiled ops, mmdet and mmseg
	bash tools/setup_env.sh --level downstream --tests

check-env:  ## say what is installed and which level works
	$(VENV)/bin/python -m mim_plugins.check_env

demo:  ## make the demo data, pre-train and evaluate on the CPU
	bash tools/quickstart.sh

test:  ## set up everything, lint, run all tests; ARGS="tests/ops -k hog" for a part
	bash tools/test.sh $(ARGS)

test-fast:  ## lint and run the fast tests: no compiled ops, no child processes; ARGS as above
	bash tools/test.sh --fast $(ARGS)

test-newest:  ## run the fast tests with the newest release of everything, in a temporary environment
	bash tools/test_newest.sh $(ARGS)

lint:  ## check the style
	$(VENV)/bin/ruff check .

fix:  ## repair what the style check can repair by itself
	$(VENV)/bin/ruff check --fix .
