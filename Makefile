PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: run test bench clean

run: .venv/run.stamp
	mkdir -p static
	$(BIN)/streamlit run app.py

test: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not browser"
	$(BIN)/python -m pytest -m "browser and not slow"

bench: .venv/dev.stamp
	$(BIN)/python -m tests.benchmarks.bench

clean:
	rm -rf .venv static .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/run.stamp: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/dev.stamp: .venv/run.stamp tests/requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@
