# make demo, make test, make lint: each creates .venv on first use; VENV and PYTHON choose another.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(shell $(p) -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,12))' 2>/dev/null && echo $(p))))
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo install test test-all faults realdata lint clean fuzz fuzz-guided

demo: $(VENV)/.installed
	$(BIN)/genograph demo

# what the others make when it is not there
install: $(VENV)/.installed

# the quick suite: every module, without the long searches, kills, launches and the Neo4j server
test: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not gpu and not realdata and not slow and not neo4j" -n 2 --dist loadgroup -q

test-all: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not gpu and not realdata" -n 2 --dist loadgroup -q

# FAULTS="--seed 7 --embedded 20 --neo4j 0" repeats or shortens it
faults: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m faults $(FAULTS)

# 10,000 broken inputs for every reader of files, 50 refused files loaded by every loader, the slow
# bombs; INPUTS, LOADS, SEED, JOBS (processes) and READERS (words of their names) narrow it
INPUTS ?= 10000
LOADS ?= 50
JOBS ?= 1
fuzz: $(VENV)/.installed
	cd tests && ../$(BIN)/python -m fuzz --inputs $(INPUTS) --loads $(LOADS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) $(READERS)

# the same guided by coverage, SECONDS a reader; needs atheris, which nothing else does
SECONDS ?= 60
fuzz-guided: $(VENV)/.installed
	cd tests && ../$(BIN)/python -m fuzz.guided --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(READERS)

realdata: $(VENV)/.installed
	$(BIN)/python -m pytest -m realdata -q -s tests/realdata

# mypy does not follow the wheel's package-dir mapping, so it is given the layout of the wheel
lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/typed && mkdir -p build/typed
	cp -r genograph build/typed/genograph
	cp -r schema build/typed/genograph/_schema
	cp -r loaders build/typed/genograph/loaders
	$(BIN)/python -m vulture
	cd build/typed && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p genograph

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "genograph needs Python 3.11 or 3.12; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@# pip compiles in one process; a package's file for another Python does not compile, and need not
	@$(BIN)/python -W ignore -m compileall -q -q -j 0 $(VENV)/lib || true
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
