PYTHON ?= python3
TORCH ?= torch==2.13.0
PYTEST ?= .venv/bin/pytest -n 2 --dist loadfile
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup test bench check demo docs lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12     Python interpreter for .venv (3.10 to 3.14)"
	@echo "  TORCH='torch==2.5.1'  arguments of pip for PyTorch, used unless .venv has torch 2.1 to 2.14"
	@echo "  ARGS='-k dcc'         further arguments for pytest or the demo"

setup: ## create .venv with pinned versions, or check it
	@requirements/install.sh "$(PYTHON)" "$(TORCH)"

test: setup ## run the tests in two processes with one thread each (slow tests: ARGS='-m slow')
	@OMP_NUM_THREADS=1 $(PYTEST) $(ARGS)

bench: setup ## measure loading, and time and tensor operators of a step, in minutes (ARGS='--data-root data/')
	@.venv/bin/python -m benchmarks loading --num-batches 4 $(ARGS)
	@.venv/bin/python -m benchmarks train --batch-size 2 --rounds 3 --no-memory $(ARGS)

demo: setup ## train, test and plot on synthetic people; the output folder is work_dirs/demo
	@.venv/bin/python tools/demo.py $(ARGS)

lint: setup ## check code style, format, types and import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

check: lint test docs ## run what continuous integration runs

docs: setup ## build the documentation site into site/
	@.venv/bin/python -c "import mkdocs, mkdocstrings" 2>/dev/null || \
		.venv/bin/pip install -q --disable-pip-version-check --constraint requirements/constraints.txt --editable ".[docs]"
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

clean: ## remove .venv and caches, but not work_dirs
	@rm -rf .venv build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
