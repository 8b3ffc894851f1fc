# Every target does all the set-up it needs. PYTHON=python3.12 chooses the interpreter of a new .venv.
.PHONY: setup demo test check bench
.DEFAULT_GOAL := demo

PYTHON ?=
PYTEST_ARGS ?= -q -n 2 --dist loadgroup

setup:
	@PYTHON="$(PYTHON)" tools/setup

demo: setup
	@.venv/bin/hyperhive demo

test: setup
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

check: setup
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

bench: setup
	@.venv/bin/python -m tests.bench
