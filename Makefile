# Commands for those who work on frostline. PYTHON is the interpreter of the virtual environment to use.
PYTHON ?= python

.PHONY: check format lint types fast test faults docs site

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

# Every fault that is tried: about half an hour; docs/reliability.md has what came of it. HYMENOPTERA is the folder of ants and
# bees (docs/tutorials/t2-ants-bees-resnet18.md tells of it): make faults HYMENOPTERA=/data/hymenoptera_data.
# Without it the share of a run that saving takes is not measured anew, and the result keeps the earlier one, saying so.
HYMENOPTERA ?=
faults:
	FROSTLINE_FAULTS=full $(PYTHON) -m pytest -q tests/faults tests/e2e/test_resume.py
	$(PYTHON) benchmarks/faults/kills.py $(if $(HYMENOPTERA),--real $(HYMENOPTERA))

# The documentation site, in English and Chinese: built into build/site, or served while pages are written.
docs:
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

site:
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs serve
