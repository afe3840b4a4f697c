# All logic is in tools/set_up.py, which runs without make too (Windows: see README.md).
# Another Python: make lab PYTHON=/path/to/python3.12
PYTHON ?= python3
# -E: whatever PYTHONPATH and PYTHONHOME say, the script gets Python's own library.

.PHONY: help lab test test-all notebooks student slides book doctor

help:
	@$(PYTHON) -E tools/set_up.py --help

lab test test-all student slides book doctor:
	@$(PYTHON) -E tools/set_up.py $@ $(if $(EDITION),--edition $(EDITION)) $(ARGS)

# All chapters, or some: make notebooks ONLY="03 05"
notebooks:
	@$(PYTHON) -E tools/set_up.py $@ $(ONLY)
