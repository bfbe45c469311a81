# Two commands do everything: `make run` and `make test`. Only Python 3.11 to 3.13, git and make are assumed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export SEGLINE_ROOT := $(CURDIR)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PREFECT_HOME ?= $(CURDIR)/.prefect
# Nothing reports home, and TensorFlow's start-up notes do not bury what matters.
export DO_NOT_TRACK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Containers like to set it; then uv's packages, which come without bytecode, are compiled anew by every process:
# 8 s more for each that imports TensorFlow, and the tests start dozens.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | awk -F'\t' '{printf "make %-10s %s\n", $$1, $$2}'

# The scripts of an environment name its folder: after a move it is made anew.
ifeq (moved,$(shell at=$$(cat $(VENV)/installed 2>/dev/null); [ -z "$$at" ] || [ "$$at" = "$$(pwd -P)" ] || echo moved))
.PHONY: $(VENV)/installed
REMOVE_MOVED := rm -rf $(VENV); echo "this project was moved: $(VENV) is made anew"
endif

$(VENV)/installed: requirements.txt pyproject.toml
	@case "$$(pwd -P)" in *[][%?:*\\]*) echo "error: $$(pwd -P): expected a path without % ? : * [ ] \\"; echo "  remedy: rename the folder, then run the same command in it"; exit 1;; esac
	@$(REMOVE_MOVED)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(0 if (3, 11, 4) <= v < (3, 14) else "error: $(PYTHON) is Python %d.%d.%d, expected 3.11.4 to 3.13; remedy: make run PYTHON=python3.12" % v)'
	@echo "installing into $(VENV) (the first time this fetches about 1 GB)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@pwd -P > $@

# CUDA's libraries for TensorFlow, about 3 GB. The lock holds only what requirements.txt has not, so that each package is
# pinned once, and the same TensorFlow runs with and without a GPU.
$(VENV)/installed-gpu: requirements-gpu.txt $(VENV)/installed
	@echo "installing TensorFlow's CUDA libraries into $(VENV) (about 3 GB)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.txt --requirement requirements-gpu.txt
	@touch $@

is_set = $(filter-out 0 no false,$(1))

.PHONY: install
install: $(VENV)/installed $(if $(call is_set,$(GPU)),$(VENV)/installed-gpu)  ## Make the virtual environment .venv (GPU=1: with CUDA)

.PHONY: run
run: install  ## From download to a promoted model (RETRAIN=1 trains again, EARLIER_CLASSES=1 returns to an earlier champion's classes, DATASET=kitti trains on that, PRESET=tutorial_pets first writes that recipe, GPU=1 installs for CUDA)
	@$(if $(PRESET),segline preset $(PRESET))
	@segline doctor $(if $(DATASET),--dataset $(DATASET))
	@python -m infra.prepare $(if $(DATASET),--dataset $(DATASET))
	@python -m flows.training $(if $(call is_set,$(RETRAIN)),--retrain) $(if $(call is_set,$(EARLIER_CLASSES)),--earlier-classes) $(if $(DATASET),--dataset $(DATASET))
	@echo "compare runs and see the flows: make up"

.PHONY: up
up: install  ## MLflow, Prefect and a worker on loopback, until Ctrl-C
	@python -m infra.up

.PHONY: test
test: install  ## The tests, within 12 minutes on 2 cores
	@python -m pytest

# What the data stages, networks, fits, servers and whole projects do is left to `make test`.
FAST := tests/core tests/config tests/datasets tests/training/plan tests/registry/gate tests/test_architecture.py

.PHONY: test-fast
test-fast: install  ## What one waits for while editing, within a minute: core, config, datasets, plans, the gate
	@python -m pytest -q -m "not lengthy and not slow" $(FAST)

.PHONY: test-all
test-all: install  ## The tests that take longer, too
	@python -m pytest -m "slow or not slow"

.PHONY: check
check: install  ## ruff, mypy, import-linter
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports

.PHONY: lock
lock: install  ## Resolve requirements.txt anew from pyproject.toml
	@uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header --no-emit-index-url --upgrade --output-file requirements.txt pyproject.toml
	@uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra gpu --generate-hashes --no-header --no-emit-index-url --constraint requirements.txt pyproject.toml | python -m infra.added_packages requirements.txt > requirements-gpu.txt

.PHONY: schema
schema: install  ## Write docs/score.schema.json anew from the metric table
	@python -m segline.evaluation.folders.document > docs/score.schema.json

.PHONY: clean
clean:  ## Remove what can be made again: environment, data, runs, reports (asks first; FORCE=1 does not)
	@if [ -z "$(FORCE)" ]; then read -r -p "remove .venv, data, the DVC cache, MLflow runs and models, reports? [y/N] " answer; [ "$$answer" = y ]; fi
	@rm -rf $(VENV) data .dvc/cache .dvc/tmp mlflow.db* mlartifacts .prefect .segline reports .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
