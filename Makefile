# make demo: a first verdict.  make hub-demo: the same into a hub and Prometheus.  make test and make test-engines: everything that can be tested on this
# machine.  make help: the rest.
PYTHON ?= python3
BIN := .venv/bin
# Tests that look at no figure: three files at a time, the longest first, since many of them wait for processes to start
# and end. The others have the machine to themselves.
# A worker that crashes is not replaced: pytest-xdist 3.8 then gives its files to nobody and waits for ever.
SHARED := $(addprefix tests/service/test_,interrupted_runs_go_on.py \
  python_measures_as_the_command_line_does.py a_whole_run_gives_recomputable_figures.py live_view_of_a_running_plan.py \
  upload_to_a_hub_that_comes_and_goes.py upload_while_a_run_is_measured.py \
  faults_end_one_launch_and_nothing_else.py ranks_get_gpus_of_their_own.py \
  the_command_line_explains_itself.py a_model_of_ones_own_is_measured.py collectives_are_measured.py \
  prometheus_*.py) tests/service/hub tests/truth tests/browser tests/chart tests/unit
# What every engine does with every model, option and precision, in the real frameworks.
ENGINES := $(addprefix tests/service/test_,parity_of_every_model_in_every_engine.py gpu_check_is_rehearsed.py \
  models_are_trained_to_an_accuracy.py a_pipeline_that_fails_fails_its_launch.py) tests/contract
# Hundreds of processes import stepmark and the tests; without bytecode in a file, each of them compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
TOGETHER := --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: help demo hub-demo command test test-engines test-cuda-imports fuzz test-cluster kind-up kind-down lint requirements generate clean

help:  ## Print the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: .venv/run  ## Install what is needed, then measure scenarios/quickstart.yaml into out/quickstart
	rm -rf out/quickstart
	$(BIN)/stepmark run scenarios/quickstart.yaml --out out/quickstart

hub-demo: .venv/run  ## Start a hub and a Prometheus here, run the quickstart into them, say which addresses to open
	$(BIN)/python scripts/hub_demo.py

test: .venv/dev  ## Install what is needed, then run all tests but those of test-engines; each that cannot run here is listed, with what is missing
	@.ci/system-packages tests
	@! command -v go >/dev/null || k8s/kind/tools helm >/dev/null || echo "test: helm could not be built (above)" >&2
	$(BIN)/python -m pytest -n 3 $(TOGETHER) $(SHARED)
	$(BIN)/python -m pytest tests/service $(addprefix --ignore-glob=,$(filter tests/service/%,$(SHARED) $(ENGINES)))

test-engines: .venv/dev  ## That every engine trains every model as the others do, with every strategy, option and precision that it has
	$(BIN)/python -m pytest -n 2 $(TOGETHER) $(ENGINES)

test-cuda-imports: .venv/dev .venv-cuda/keras/done .venv-cuda/jax/done  ## That the imports of TensorFlow and JAX for CUDA start no CUDA; downloads 10 GB, needs no GPU
	ln -sfn keras .venv-cuda/tf-keras
	STEPMARK_ENGINE_PYTHONS=$(CURDIR)/.venv-cuda $(BIN)/python -m pytest tests/contract/test_no_zygote_starts_cuda.py

.venv-cuda/%/done: .venv/bin/uv requirements/%-cuda.txt requirements/service.txt
	$(BIN)/uv venv --clear --python $(BIN)/python .venv-cuda/$*
	$(BIN)/uv pip install --python .venv-cuda/$*/bin/python --require-hashes -r requirements/service.txt -r requirements/$*-cuda.txt
	$(BIN)/uv pip install --python .venv-cuda/$*/bin/python --no-deps -e .
	@touch $@

MINUTES ?= 10
fuzz: .venv/dev  ## Documents and wire records that nobody writes, from a new seed, for MINUTES=10; what breaks goes into tests/corpus/fuzzed
	cd tests && ../$(BIN)/python -m fuzz $(MINUTES)

test-cluster: .venv/dev  ## All tests on a real Kubernetes cluster, brought up first and deleted afterwards. Their core: .ci/test-cluster --core
	.ci/test-cluster

kind-up:  ## A local Kubernetes cluster with KubeRay, Prometheus and stepmark
	@k8s/kind/up --with prometheus --with stepmark >/dev/null

kind-down:  ## Delete it
	k8s/kind/down

command:  ## Only the command line for clusters and hubs, without frameworks: .venv-command/bin/stepmark
	$(PYTHON) -m venv .venv-command
	.venv-command/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	.venv-command/bin/uv pip install --python .venv-command/bin/python --require-hashes -r requirements/service.txt
	.venv-command/bin/uv pip install --python .venv-command/bin/python --no-deps -e .

lint: .venv/dev  ## Style, types, and the hosted workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet .github

generate: .venv/dev  ## Write what is generated from code: scenario reference and schema, CRD, dashboards, rules, chart values
	$(BIN)/python -m stepmark.generate

.venv/bench: .venv/run requirements/bench.txt
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@touch $@

requirements:  ## Resolve the pinned requirements anew (needs uv)
	for name in bootstrap service run tf-keras keras-cuda jax-cuda dev bench; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate -q \
	    $$([ $$name != tf-keras ] || echo --no-deps) \
	    --custom-compile-command "make requirements" requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean:  ## Remove the virtual environment and results
	rm -rf .venv .venv-command .venv-cuda out

.venv/bin/uv: requirements/bootstrap.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stepmark needs Python 3.11 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

.venv/run: .venv/bin/uv requirements/run.txt requirements/tf-keras.txt pyproject.toml
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/run.txt
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes --no-deps -r requirements/tf-keras.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@
