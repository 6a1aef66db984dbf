# make demo   the main job on embedded data, before/after
# make test   all tests
# make lint   style and types
# make fuzz   damaged files, for minutes; make sanitize does the decoder's part in seconds, without clang
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint format fuzz sanitize clean

FUZZED := -std=c++17 -g -O1 -fno-sanitize-recover=all -Iengine/src engine/fuzz/decode.cpp
CLANG ?= clang++

demo: $(READY)
	$(BIN)/netsurgery demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror engine/*/*.hpp engine/*/*.cpp

sanitize:
	mkdir -p build
	$(CXX) -fsanitize=address,undefined $(FUZZED) engine/fuzz/standalone.cpp -o build/standalone
	build/standalone 20000

fuzz: $(READY)
	mkdir -p build/inputs
	$(CLANG) -fsanitize=fuzzer,address,undefined $(FUZZED) -o build/decode
	build/decode -max_total_time=300 -max_len=600 build/inputs
	$(BIN)/python -m fuzz.files --count 1000000 --coder both --processes 2

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i engine/*/*.hpp engine/*/*.cpp

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(wildcard engine/*/*.hpp engine/*/*.cpp)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
