# make demo   installs and does the main job on an embedded data set (under 4 minutes on 2 cores with AVX-512 BF16, 9 with AVX2)
# make test   installs what the tests need and passes them (some 20 minutes on 2 cores with AVX-512, 40 with AVX2)
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-all lint benchmark clean

$(VENV)/.demo: setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e ".[cpu]"
	touch $@

$(VENV)/.test: setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e ".[cpu,test]"
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/keras-pretext demo --out runs/demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .

benchmark: $(VENV)/.test
	$(BIN)/pip install -q -e ".[benchmark]"
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
