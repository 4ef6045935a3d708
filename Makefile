# Commands for those who work on frostline. PYTHON is the interpreter of the virtual environment to use.
PYTHON ?= python

.PHONY: check format lint types fast test

check: format lint types fast

format:
	$(PYTHON) -m ruff format --check .

lint:
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

fast:
	$(PYTHON) -m pytest -q -m "not slow"

test:
	$(PYTHON) -m pytest -q
