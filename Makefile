# Commands for those who work on frostline. PYTHON is the interpreter of the virtual environment to use.
PYTHON ?= python

.PHONY: check format lint types fast test faults

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

# Every fault that is tried: about an hour; docs/reliability.md has what came of it.
faults:
	FROSTLINE_FAULTS=full $(PYTHON) -m pytest -q tests/faults tests/e2e/test_resume.py
	$(PYTHON) benchmarks/faults/kills.py
