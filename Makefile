# Two commands set everything up on a machine with Python 3.11 and pip: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
SERVE := .venv-serve/bin
PEERS := .venv-peers/bin

# What a team needs to train, serve and read e-mails and reports.
EXTRAS := train,mail,report,tables
# Where the serving side is tested beside $(PYTHON).
PYTHONS := 3.12 3.13
# What `make test` runs: parts of minutes, the longest first. Three at a time, for that of the system waits most of its time.
TESTS := test-system test-trainer test-serving test-documents

.PHONY: install demo demo-check test $(TESTS) test-pythons check bench peers mails fuzz generated faults browser pictures vendor docs site-check document release clean ci environments

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/train: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,mail,tables]'
	touch $@

.venv/install: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch .venv/train $@

.venv/dev: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv/train .venv/install $@

# The server's own environment: no torch, no onnx.
.venv-serve/test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-serve
	$(SERVE)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,mail,tables]'
	touch $@

.venv-serve-%/test: pyproject.toml constraints.txt
	python=$$(.ci/find-python $*) && $$python -m venv .venv-serve-$*
	.venv-serve-$*/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,mail]'
	touch $@

# What others would serve with, for the benchmarks that compare: too heavy for the development environment.
.venv-peers/peers: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	touch $@

install: .venv/install  ## puppet-serve and puppet-train in .venv/bin, with what trains, reads e-mails and writes reports

demo: .venv/train  ## train on synthetic tickets, serve on 127.0.0.1:8000, show a search; Ctrl-C ends it
	$(BIN)/python demo.py

demo-check: .venv/train  ## the demo on a free port, then the seeds' calls, then exit
	$(BIN)/python demo.py --check

test: .venv/dev .venv-serve/test  ## every test, those of the server where there is no torch; three at a time
	$(MAKE) --no-print-directory -j3 --output-sync=target $(TESTS)

test-serving: .venv-serve/test
	$(SERVE)/python -m pytest -q tests/artifacts tests/inference tests/trainer/data tests/trainer/sorting -m "not torch"

DOCUMENTS := $(addprefix tests/system/test_,docs.py readme.py exercises.py lessons.py reference.py mini.py mini_steps.py figures.py) tests/browser/test_site.py

test-trainer: .venv/dev
	$(BIN)/python -m pytest -q -m torch $$(grep -rl 'mark\.torch' --include='test_*.py' tests/artifacts tests/inference)
	$(BIN)/python -m pytest -q tests/trainer tests/benchmarks

test-system: .venv/dev
	$(BIN)/python -m pytest -q tests/faults tests/browser tests/system $(DOCUMENTS:%=--ignore=%)

test-documents: .venv/dev
	$(BIN)/python -m pytest -q $(DOCUMENTS)

test-pythons: $(PYTHONS:%=test-python-%)  ## the server's tests on the other Pythons, where there is no torch

# Without what a Python does not change: a kill at any moment, a race of processes, a cost that must not grow too fast,
# the kernel. The newest runs everything else; one between two that pass, the server alone, which all libraries meet in.
PYTHON_TESTS = $(if $(filter 3.12,$*),tests/inference,tests/artifacts tests/inference)
test-python-%: .venv-serve-%/test
	.venv-serve-$*/bin/python -m pytest -q $(PYTHON_TESTS) -m "not torch and not one_python"

.PRECIOUS: .venv-serve-%/test

check: .venv/dev  ## lint, format, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev  ## latency of a search on a model trained here; accuracy needs --data DIR, see CONTRIBUTING
	$(BIN)/python -m benchmarks latency

peers: .venv-peers/peers  ## the environment of the servers that `benchmarks throughput` and others compare with

mails: .venv/dev  ## 100,000 mutated e-mails: each is read, or refused with an error of this project
	PUPPET_TEST_MAILS=100000 $(BIN)/python -m pytest -q tests/artifacts/mail -k fuzzed

fuzz: .venv/dev  ## the kernels under the sanitisers, with 5,000 random networks each, and 100,000 bodies of /v2: some ten minutes
	PUPPET_TEST_KERNELS=5000 $(BIN)/python -m pytest -q tests/artifacts/networks/test_engines.py tests/trainer/kernels -k sanitisers
	PUPPET_TEST_BODIES=100000 $(BIN)/python -m pytest -q tests/inference/oip/test_fuzz.py

# What others generate clients with; what it brings does not go with what the tests need.
.venv-generators/generators: pyproject.toml
	$(PYTHON) -m venv .venv-generators
	.venv-generators/bin/pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1 datamodel-code-generator==0.89.0
	touch $@

generated: .venv/dev .venv-generators/generators  ## clients generated from the OpenAPI document call every operation
	PUPPET_GENERATORS=$(CURDIR)/.venv-generators/bin $(BIN)/python -m pytest -q tests/system/test_generated.py

faults: .venv/dev  ## kills, disk errors and power cuts at every step of every change; needs root, writes docs/faults.md
	$(BIN)/python -m tests.faults --save

browser: .venv/dev  ## the page in a real browser, in both languages; needs Chromium
	PUPPET_TEST_LANGUAGES="en fr" $(BIN)/python -m pytest -q tests/browser

pictures: .venv/dev  ## photograph each screen of the page into docs/page; needs Chromium
	$(BIN)/python -m tests.browser.pictures

vendor:  ## fetch what the page takes from others (inference/page/vendor/vendor.toml) anew; needs only Python
	$(PYTHON) .ci/fetch_vendor.py

docs: .venv/dev  ## draw the architecture and the figures, list the problems, translate the exercises, build the site in site/
	$(BIN)/python docs/draw_architecture.py
	$(BIN)/python docs/write_problems.py
	$(BIN)/python docs/figures/draw.py
	$(BIN)/python docs/exercises/translate.py
	$(BIN)/python docs/site/build.py site

site-check: .venv/dev  ## open every page of the site in a real browser, light and dark, wide and narrow; needs Chromium
	PUPPET_TEST_PAGES=all $(BIN)/python -m pytest -q tests/browser/test_site.py

document: .venv/dev  ## keep the OpenAPI document in docs/openapi.json, at a release: later ones must not break its clients
	$(BIN)/python -m tests.write_document

release: .venv/dev  ## the wheel and the sdist in dist/, each tried in a fresh environment
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python .ci/check_release.py dist/*.whl dist/*.tar.gz

# What .ci/run asks for, three targets at a time and the short ones last. Apart from the environments, because a release is
# built from files that an installation of this folder writes too (*.egg-info).
ENVIRONMENTS := .venv/dev .venv-serve/test .venv-generators/generators $(PYTHONS:%=.venv-serve-%/test)

environments: $(ENVIRONMENTS)

ci: check $(TESTS) test-pythons generated demo-check release

clean:
	rm -rf .venv .venv-serve .venv-serve-* .venv-peers .venv-generators build dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
