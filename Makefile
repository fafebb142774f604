# make deploy: from a fresh machine to a checked prediction. make help: the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Ansible requires UTF-8, whatever the machine's locale.
export LC_ALL := C.UTF-8
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Many container images set this; then each process would compile all of Ansible again, which takes
# a quarter of its time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
# More arguments for ansible-playbook: make deploy ARGS="--ask-become-pass -e test_api_port=9001"
ARGS ?=
# make rehearse WATCH=no: for kernels that do not permit watching the connections of the run.
WATCH ?= yes
# The benchmarks to run, and their arguments.
BENCH ?= no_change
BENCH_ARGS ?=
BENCHMARKS = $(if $(filter all,$(BENCH)),no_change zero_lost_requests autoscale first_prediction \
	many_workloads serving,$(BENCH))

.PHONY: help setup deploy teardown rehearse rehearse-stop test check benchmark lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

setup: .venv/.setup ## the virtual environment (.venv) from the hash-locked requirements

.venv/.setup: requirements.txt requirements-uv.txt scripts/setup
	PYTHON=$(PYTHON) scripts/setup requirements.txt
	@touch $@

.venv/.setup-dev: requirements-dev.txt requirements-uv.txt scripts/setup scripts/setup-test
	PYTHON=$(PYTHON) scripts/setup requirements-dev.txt
	scripts/setup-test
	@touch $@ .venv/.setup

deploy: .venv/.setup ## everything: engine, images, containers, check
	@ansible-playbook site.yml $(ARGS)

teardown: .venv/.setup ## take down what `make deploy` put up
	@ansible-playbook site.yml --tags teardown $(ARGS)

rehearse: .venv/.setup-dev ## the GKE run on this machine, for nothing; stays up to look at
	@scripts/rehearse $(if $(filter no,$(WATCH)),--unwatched) $(ARGS)

rehearse-stop: .venv/.setup-dev ## end what `make rehearse` left up
	@scripts/rehearse-stop

test: .venv/.setup-dev ## the whole test suite, from nothing; a part: ARGS="tests/unit -k port"
	@python tests/suite.py all $(ARGS)

check: .venv/.setup-dev ## the fast part of it; what there is for a path: WHAT=roles/container
	@python tests/suite.py check $(WHAT)

# Most benchmarks use the rehearsal cluster, which is built and started as for the tests.
benchmark: .venv/.setup ## measure: BENCH="no_change zero_lost_requests …" or BENCH=all (docs/benchmarks.md)
	$(if $(filter-out no_change serving,$(BENCHMARKS)),scripts/setup-test)
	$(if $(filter serving,$(BENCHMARKS)),scripts/setup-serving)
	@status=0; for name in $(BENCHMARKS); do \
		echo "== $$name"; python -m "benchmarks.$$name" $(BENCH_ARGS) || status=$$?; \
	done; exit $$status

lock: .venv/.setup-dev ## compile the requirements anew from pyproject.toml
	scripts/lock

clean: ## the virtual environment and caches; images and containers stay (make teardown)
	rm -rf .venv .cache .ansible .pytest_cache .mypy_cache .ruff_cache .coverage
