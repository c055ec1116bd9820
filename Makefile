# SPDX-License-Identifier: MIT
# Every target sets up what it needs (tools/setup_env.py) and works from any folder: make -C DIR.
PYTHON ?= python3
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup weights demo test quick campaign lint docs format clean distclean

# A sourced ROS or an active venv would be mixed with ours.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONHOME \
	PYTHONPATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION _ROS_WHEELS_BOOTSTRAP_COMPLETE
# Stay on this computer: other robots in the network must not meet a demo or a test.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST

# Not by an absolute path, so that a space in it does no harm.
BIN := .venv/bin

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## venv, ROS 2 wheels, PyTorch, messages; ROS=jazzy or kilted; TORCH_INDEX=ADDRESS: torch from there
	@$(PYTHON) tools/setup_env.py

weights: ## setup, and the pre-trained backbone into ~/.cache/selavpr or $SELAVPR_HOME
	@$(PYTHON) tools/setup_env.py --weights

demo: weights ## build a map from the demo's first run and find the second run's places in it
	@$(BIN)/selavpr demo

test: weights ## the whole test suite; ARGS='-k name' goes to pytest
	@$(BIN)/python tests/run.py $(ARGS)

quick: weights ## the tests that take seconds each, under 3 minutes in all
	@$(BIN)/python tests/run.py --quick $(ARGS)

campaign: weights ## hostile files, messages and calls, kills, full disks, hours: a day; docs/reliability.md
	$(BIN)/python tools/campaign.py maps --count 3000
	$(BIN)/python tools/campaign.py images --count 1500
	$(BIN)/python tools/campaign.py bags --count 2000
	$(BIN)/python tools/campaign.py weights --count 1500
	$(BIN)/python tools/campaign.py poses --count 2000
	$(BIN)/python tools/campaign.py kills --count 1000
	$(BIN)/python tools/campaign.py disks --count 200
	$(BIN)/python tools/campaign.py messages --count 100000
	$(BIN)/python tools/campaign.py calls --count 5000
	$(BIN)/python tools/campaign.py hours --seconds 3600
	$(BIN)/python tools/campaign.py hours --seconds 3600 --slam --keep build/hours_slam.jsonl

lint: setup ## ruff, mypy, codespell and clang-format; `make test` runs them, too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/clang-format --dry-run -Werror native/* tests/native_*.c*

docs: setup ## the documentation as a site, into build/site
	$(BIN)/mkdocs build --strict --site-dir build/site

format: setup ## let ruff and clang-format rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i native/* tests/native_*.c*

clean: ## remove what was built; the venv stays
	rm -rf build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis

distclean: clean ## remove the venv, too
	rm -rf .venv
