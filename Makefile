# Every command prepares what it needs (tools/setup.sh); nothing has to be installed first.
PYTHON ?= python3
PRIMITIVE ?= lock
MINUTES ?= 10
ARGS ?=
export PYTHON

bin := .venv/bin
with_venv := PATH="$(CURDIR)/$(bin):$$PATH"
cxx_files = find src tests/cpp tests/fuzz tests/simulation bench -name '*.cc' -o -name '*.h'

ccache := $(shell command -v ccache)
ifneq ($(ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER := $(ccache)
endif

# ThreadSanitizer of gcc 12 dies at start where the kernel spreads addresses widely.
fixed_addresses := $(shell setarch -R true 2>/dev/null && echo setarch -R)

# $(call cmake_build,folder,options)
define cmake_build
$(with_venv) cmake -G Ninja -S . -B build/$(1) $(2)
$(with_venv) $(fixed_addresses) cmake --build build/$(1) -j $$(nproc)
endef
asan := -DDSYNC_BUILD_TESTS=ON -DDSYNC_SANITIZE=address,undefined
tsan := -DDSYNC_BUILD_TESTS=ON -DDSYNC_SANITIZE=thread
# The fuzzer is part of clang.
fuzz := -DDSYNC_BUILD_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++ \
  -DDSYNC_SANITIZE=fuzzer-no-link,address,undefined
FUZZ_SECONDS ?= 60
# Most tests wait for something, so more of them than cores run at a time.
WORKERS ?= 3
ctest = $(with_venv) $(fixed_addresses) ctest --no-tests=error --output-on-failure -j $$(nproc)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Show a primitive at work: PRIMITIVE=lock (semaphore, condition, barrier, event, key_value)
	@EXTRAS=demo tools/setup.sh build
	$(bin)/python -m examples.demo $(PRIMITIVE) $(ARGS)

.PHONY: test
test: ## Run every test, C++ ones under sanitizers; ARGS='...' go to pytest
	@tools/setup.sh build test
	$(call cmake_build,asan,$(asan))
	$(ctest) --test-dir build/asan
	$(call cmake_build,tsan,$(tsan))
	$(ctest) --test-dir build/tsan -L threads
	$(call cmake_build,fuzz,$(fuzz))
	$(fixed_addresses) tools/fuzz.sh $(FUZZ_SECONDS)
	$(bin)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: soak
soak: ## Test at random, under faults, for as long as asked: MINUTES=10 ARGS='--seed 1'
	@tools/setup.sh build test
	$(call cmake_build,soak,-DDSYNC_BUILD_TESTS=ON)
	$(call cmake_build,fuzz,$(fuzz))
	$(fixed_addresses) $(bin)/python tools/soak.py --minutes $(MINUTES) $(ARGS)

.PHONY: check
check: ## Check format, lint and types; changes nothing
	@tools/setup.sh build test check
	$(bin)/ruff format --check
	$(bin)/ruff check
	$(cxx_files) | xargs -r $(bin)/clang-format --dry-run -Werror
	$(bin)/mypy
	$(bin)/pyright --pythonpath $(bin)/python
	MYPYPATH=python $(bin)/python -m mypy.stubtest dsync._core \
	  --allowlist tools/stubtest.allow --ignore-unused-allowlist

.PHONY: fix
fix: ## Format everything and mend what lint can mend
	@tools/setup.sh build test check
	$(bin)/ruff check --fix
	$(bin)/ruff format
	$(cxx_files) | xargs -r $(bin)/clang-format -i

.PHONY: bench
bench: ## Measure against the floor and the peers: ARGS='...'
	@tools/setup.sh build test bench
	$(call cmake_build,bench,-DDSYNC_BUILD_BENCH=ON -DCMAKE_BUILD_TYPE=Release)
	$(bin)/python -m bench $(ARGS)

.PHONY: clean
clean: ## Remove everything that these commands made
	rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
