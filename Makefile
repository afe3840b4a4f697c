# All logic is in tools/set_up.py, which runs without make too (Windows: see README.md).
# Another Python: make lab PYTHON=/path/to/python3.12
PYTHON ?= python3

.PHONY: help lab test test-all notebooks student slides book doctor

help:
	@$(PYTHON) tools/set_up.py --help

lab test test-all student slides book doctor:
	@$(PYTHON) tools/set_up.py $@ $(ARGS)

# All chapters, or some: make notebooks ONLY="03 05"
notebooks:
	@$(PYTHON) tools/set_up.py $@ $(ONLY)
