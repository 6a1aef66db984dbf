# make demo   the main job on embedded data, before/after
# make test   all tests but the slow ones: minutes
# make test-slow   those that take long and are about rare things, such as many processes and the library for C
# make lint   style and types
# make engine the engine's own tests in C++, without Python; some damaged files among them
# make sanitize, make neon   the same under sanitizers; the same for 64-bit ARM, emulated
# make one-definition   two types or functions of one name, seen by the linker
# make damaged, make fuzz   damaged files in all readers, for half a minute; for minutes
# make wheel  builds the wheel, installs it beside numpy alone, and runs networks with it
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow lint format fuzz engine sanitize neon one-definition damaged wheel clean

CMAKE ?= cmake
CLANG ?= clang++
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
ARM ?= aarch64-linux-gnu
CPP := $(wildcard engine/*/*.h engine/*/*.hpp engine/*/*.cpp engine/src/*/*.hpp engine/src/*/*.cpp)
# $(call engine,FOLDER,OPTIONS): configures and builds there; $(call tested,FOLDER) runs the tests
comma := ,
engine = $(CMAKE) -S . -B build/$(1) -DNETSURGERY_TESTS=ON $(2) && \
  MAKEFLAGS=--no-print-directory $(CMAKE) --build build/$(1) --parallel $(JOBS)
tested = cd build/$(1) && ctest --output-on-failure --no-tests=error

demo: $(READY)
	$(BIN)/netsurgery demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CPP)

build:
	mkdir build

engine: | build
	$(call engine,engine)
	$(call tested,engine)

sanitize: | build
	$(call engine,sanitize-address,-DNETSURGERY_SANITIZE=address$(comma)undefined)
	$(call tested,sanitize-address)
	$(call engine,sanitize-thread,-DNETSURGERY_SANITIZE=thread)
	$(call tested,sanitize-thread)

one-definition: | build
	$(call engine,one-definition,-DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_FLAGS=-O0 -flto -Wodr -Werror=odr")

neon: | build
ifeq ($(and $(shell command -v $(ARM)-g++),$(shell command -v qemu-aarch64)),)
	@echo "skipped: this needs $(ARM)-g++ and qemu-aarch64 (Debian: g++-aarch64-linux-gnu, qemu-user)"
else
	$(call engine,neon,-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=$(ARM)-g++ \
	  "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/$(ARM)")
	$(call tested,neon)
endif

fuzz: $(READY) | build
	$(call engine,fuzz,-DCMAKE_CXX_COMPILER=$(CLANG) -DNETSURGERY_SANITIZE=address$(comma)undefined -DNETSURGERY_FUZZ=ON)
	mkdir -p build/inputs build/files
	build/fuzz/engine/tests/fuzz_decode -max_total_time=300 -max_len=600 build/inputs
	build/fuzz/engine/tests/fuzz_read -max_total_time=300 -max_len=8000 build/files engine/tests/networks
	$(BIN)/python -m fuzz.files --count 1000000 --coder all --processes 2

damaged: $(READY)
	$(BIN)/python -m fuzz.files --count 20000 --coder all --processes 2

# Isolated (-I), so that nothing of the checkout is found by chance.
wheel:
	rm -rf build/wheel
	$(PYTHON) -m venv build/wheel/building
	build/wheel/building/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w build/wheel/made .
	$(PYTHON) -m venv build/wheel/bare
	build/wheel/bare/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/made/*.whl
	cd build/wheel && bare/bin/python -I $(CURDIR)/tests/wheel.py $(CURDIR)/engine/tests/networks

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(CPP)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
