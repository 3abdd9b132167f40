# One virtual environment, made by uv from the pinned closure in requirements.txt.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
# Threads: two cores are enough for three hospitals; more threads than cores spin on each other.
export OMP_NUM_THREADS ?= 2
# A thread that waits for another sleeps: spinning, two threads beside busy processes took nine times as long.
export OMP_WAIT_POLICY ?= PASSIVE
export PYTHONPATH := $(CURDIR)
# The tests start hundreds of processes: each reads what the first has compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-all test-faults test-chaos test-load test-mutants test-gpu fast-policies fast-datasites bench-rounds bench-aggregation bench-engine bench-kernels bench-accuracy bench-hospital bench-commands image image-test bench-export bench-graphs bench-serving bench-study bench-simulation bench-few-rounds screenshots translations check types-product types-tests lock dist clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## make the virtual environment (once, about two minutes)

$(VENV)/.installed: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed (looked for '$(PYTHON)'); set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet "uv>=0.5"
	@echo "The pinned packages come into $(VENV), once. Then their files are compiled, for a minute or several, without a word."
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --compile-bytecode -r requirements.txt
	touch $@

.PHONY: simulation
simulation: $(VENV)/.simulation ## what 'researcher simulate' needs on several cores: Ray, beside the rest

$(VENV)/.simulation: researcher/simulation/requirements.txt $(VENV)/.installed
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --compile-bytecode -r $<
	touch $@

demo: export OMP_NUM_THREADS = 1
demo: setup ## three hospitals, one study, into out/demo (DATA=folder|file.npz TEST=... for your own pictures)
	$(BIN)/python -m researcher demo --out out/demo $(if $(DATA),--data "$(DATA)") $(if $(TEST),--test "$(TEST)") $(ARGS)

# A file of tests after the other in each of so many processes, each with one thread: one more than there are cores, as
# tests that talk to running hospitals wait for a third of their time. Files that share hospitals or a fork server go to
# the same one, and the longest come first: tests/support/files_in_turn.py.
TEST_PROCESSES ?= $(shell expr $$(nproc) + 1)
TOGETHER := -n $(TEST_PROCESSES) --dist loadfile
test test-all test-fast: export OMP_NUM_THREADS = 1

# The console's pages are looked at in a real browser: CHROMIUM=/path/to/one, or Debian's.
.PHONY: browser
browser:
	@for one in $(CHROMIUM) chromium chromium-browser google-chrome; do command -v "$$one" >/dev/null && exit 0; done; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium && exit 0; fi; \
	  echo "The tests of the console's pages need a Chromium: install Debian's package 'chromium', or say CHROMIUM=/path/to/one."; exit 1

# PySyft's database may be in PostgreSQL: the tests start a server of their own from Debian's package, which is to start none itself.
.PHONY: postgresql
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && apt-get -qq install -y --no-install-recommends postgresql-common && \
	    sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf && \
	    apt-get -qq install -y --no-install-recommends postgresql && exit 0; fi; \
	  echo "The tests with PostgreSQL are skipped: they need Debian's package 'postgresql'."

# Runs may be on a Slurm cluster: the tests start one of their own from Debian's packages, which are to start none themselves.
.PHONY: slurm
slurm:
	@command -v srun >/dev/null && PATH="$$PATH:/usr/sbin" command -v slurmctld >/dev/null && PATH="$$PATH:/usr/sbin" command -v munged >/dev/null && exit 0; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && RUNLEVEL=1 apt-get -qq install -y --no-install-recommends slurm-wlm munge && exit 0; fi; \
	  echo "The tests with Slurm are skipped: they need Debian's packages 'slurm-wlm' and 'munge', and root."

# The chart for Kubernetes is rendered by helm and held against Kubernetes' own schemas.
.PHONY: chart-tools
chart-tools: out/deployment/helm
out/deployment/helm: tests/support/chart_tools.py $(VENV)/.installed
	$(BIN)/python tests/support/chart_tools.py

# A service is tested on a machine of its own, booted by systemd-nspawn: a file system of Debian with systemd.
.PHONY: systemd-root
systemd-root: setup
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/support/systemd_root.py

test: setup simulation browser postgresql slurm chart-tools ## the tests, without the slow and real-data ones (TEST_PROCESSES=0 ARGS="-x tests/policies")
	$(BIN)/python -m pytest $(TOGETHER) -m "not slow and not real_data" $(ARGS)

# The rooms that decide, and the picture of the house; none of these tests needs a running hospital.
LONG := $(addprefix --ignore tests/policies/,test_audit_command.py budget/test_accountant.py)
GOVERNANCE := tests/test_layers.py tests/policies $(addprefix tests/datasites/,access audit_log code_requests pysyft state)

test-fast: setup ## the rooms that decide, without a running hospital, and how much of their code was run
	$(BIN)/python -m coverage erase
	$(MAKE) --no-print-directory -j 2 $(HALVES)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

# Its two halves, beside each other, each noting which lines it ran.
HALVES := fast-policies fast-datasites
fast-policies: HALF = $(filter-out tests/datasites/%,$(GOVERNANCE)) $(LONG)
fast-datasites: HALF = $(filter tests/datasites/%,$(GOVERNANCE))
$(HALVES):
	$(BIN)/python -m coverage run -p -m pytest -m "not slow and not real_data" $(HALF) $(ARGS)

test-all: setup simulation browser postgresql slurm chart-tools systemd-root ## every test, the slow and real-data ones too
	$(BIN)/python -m pytest $(TOGETHER) $(ARGS)

test-faults: setup ## 200 kills at random moments over studies at three hospitals; prints what was lost (FAULTS=...)
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/support/under_fire.py $(or $(FAULTS),--hospitals 3 --kills 200)

test-chaos: setup ## 20 rounds at eight hospitals while links, processes and a disk fail, beside the same study undisturbed, into out/bench (ARGS="--hospitals 6 --rounds 8")
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m chaos $(ARGS)

test-load: setup ## the console's pace while 200 connections are held, 20 of them hostile (ARGS="--turns 5")
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/support/under_load.py $(ARGS)

# The kernels and the engine on a real card: what `make test` interprets, the contract, places, rounding, the audit and its faults, and runs that are closed in.
ON_A_GPU := $(addprefix tests/datasites/training/,gpu test_placement.py test_clipping.py test_floating_point.py test_device_noise.py test_noise_kernel.py test_recorded_step.py test_reading_ahead.py test_privacy_audit.py) tests/datasites/runs/test_kernels_on_a_gpu.py
test-gpu: setup ## on a machine with a GPU: kernels, contract, replays, places, rounding and the audit (ARGS="-x")
	@$(BIN)/python -c "import torch; raise SystemExit(0 if torch.cuda.is_available() else 'torch finds no GPU here')"
	$(BIN)/python -m pytest $(ON_A_GPU) $(ARGS)

test-mutants: setup ## the audit against every known way of being broken, each engine; prints what found which (ARGS="--only noise")
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m mutants $(ARGS)

bench-rounds: setup ## fixed cost of a round beside others', into out/bench (ARGS="--payloads 1 10 --beside CHECKOUT")
	$(BIN)/python tests/benchmarks/rounds.py $(ARGS)

bench-aggregation: setup ## averaging 100 updates of 100 MB beside reading them, time and memory (ARGS="--updates 20")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/aggregation.py $(ARGS)

bench-engine: setup ## a private step beside a plain one, time and memory, into out/bench (ARGS="--models resnet18")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/dp_engine.py $(ARGS)

bench-kernels: setup ## on a machine with a GPU: each layer's kernel with its tiles and others, into out/bench (ARGS="--models resnet50 --bf16")
	$(BIN)/python tests/benchmarks/kernel_plans.py $(ARGS)

bench-accuracy: setup ## accuracy of private studies, into out/bench (ARGS="--seeds 1 --validation")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/accuracy.py $(ARGS)

bench-hospital: setup ## how fast pictures come in beside bare decoding, in how much memory, and how long the console's lists take, into out/bench (ARGS="--jpegs 2000 --dicoms 500")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/hospital.py $(ARGS)

bench-export: setup ## every model in every form that onnxruntime runs, likeness, accuracy, size and time, into out/bench (ARGS="--data FOLDER")
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/benchmarks/export.py $(ARGS)

bench-graphs: setup ## public architectures as graphs: captured or refused, and their gradients beside plain autograd, into out/bench (ARGS="--only resnet18 swin_tiny_patch4_window7_224")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/graphs.py $(ARGS)

bench-serving: setup ## a served model at 20 pictures a second beside decoding and one bare call, ten minutes, into out/bench (ARGS="--seconds 60")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/serving.py $(ARGS)

bench-study: setup ## strategies at hospitals that differ, with and without privacy, into out/bench (ARGS="--seeds 1 --strategies fed_avg krum")
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/benchmarks/study.py $(ARGS)

# Flower's pins and PySyft's exclude each other.
FLOWER := out/bench/flower
bench-simulation: setup simulation ## 200 made-up hospitals beside bare calls of the trainer and beside Flower's simulation, into out/bench (ARGS="--kinds dp")
	test -x $(FLOWER)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(FLOWER)
	$(BIN)/uv pip install --quiet --python $(FLOWER)/bin/python -r tests/benchmarks/flower.txt
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/benchmarks/simulation.py $(ARGS)

bench-few-rounds: setup ## accuracy of studies in 1, 9 and 20 rounds beside today's 100, or with --sockets their wall clock at four datasites, into out/bench (ARGS="--seeds 1 --epsilons 8")
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/benchmarks/few_rounds.py $(ARGS)

bench-commands: setup ## processor seconds and wall of every everyday command, and of each help, into out/bench (ARGS="--beside ../earlier --turns 1")
	$(BIN)/python tests/benchmarks/commands.py $(ARGS)

# Texts of the console's pages and of the record of a decision: what is new in them is added to the Chinese catalogue, to be translated there.
PAGES := datasites/pages
CATALOGUE := $(PAGES)/translations/zh/LC_MESSAGES/pages.po
translations: setup ## the texts of the console's pages, into its Chinese catalogue
	@mkdir -p out
	$(BIN)/pybabel -q extract --no-location --omit-header -F $(PAGES)/translations/extract.cfg -k to_translate -o out/pages.pot $(PAGES) datasites/review
	$(BIN)/pybabel -q update --no-fuzzy-matching --ignore-obsolete --omit-header --width=120 -l zh -i out/pages.pot -o $(CATALOGUE)

screenshots: setup browser ## pictures of the console's pages, into docs/images (ARGS="card")
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python tests/support/console_screenshots.py $(ARGS)

check: setup ## ruff and mypy, on the tests too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory -j 2 types-product types-tests

# mypy's two runs, beside each other: each takes a core for a minute or more, and neither can use what the other found.
types-product:
	$(BIN)/mypy
types-tests:
	$(BIN)/mypy --config-file tests/mypy.ini

OVERRIDES := import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml','rb'))['tool']['wanwu']['overrides']['packages']))
lock: ## resolve pyproject.toml into requirements.txt
	$(BIN)/python -c "$(OVERRIDES)" > $(VENV)/overrides.txt
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.11 --override $(VENV)/overrides.txt \
	  --no-emit-index-url --no-header -o requirements.txt
	$(BIN)/uv pip compile --group pyproject.toml:serving --python-version 3.11 --constraint requirements.txt \
	  --no-emit-index-url --no-header --no-annotate -o researcher/serving/requirements.txt
	$(BIN)/python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml','rb'))['project']['optional-dependencies']['simulation']))" > $(VENV)/simulation.txt
	$(BIN)/uv pip compile $(VENV)/simulation.txt --python-version 3.11 --constraint requirements.txt \
	  --no-emit-index-url --no-header --no-annotate -o researcher/simulation/requirements.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --python-version 3.11 --override $(VENV)/overrides.txt --constraint requirements.txt \
	  --no-emit-index-url --no-header --no-annotate -o $(VENV)/runtime.txt
	for one in researcher/exports/environments/*.txt; do $(BIN)/uv pip compile --quiet --no-deps --generate-hashes \
	  --python-version 3.11 --no-emit-index-url --no-header --no-annotate $$one -o $$one || exit 1; done
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m images.locks $(VENV)/runtime.txt researcher/serving/requirements.txt

# Times in the wheel are those of the last commit, so that the same commit gives the same bytes.
dist: setup ## the wheel, the packages that it runs with, each by its digest, and serving's, into out/dist
	rm -rf out/dist build
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 315532800) $(BIN)/uv build --quiet --wheel --out-dir out/dist .
	rm -rf build *.egg-info out/dist/.gitignore
	$(BIN)/python -c "$(OVERRIDES)" > $(VENV)/overrides.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --python-version 3.11 --override $(VENV)/overrides.txt --constraint requirements.txt \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o out/dist/requirements.txt
	cp researcher/serving/requirements.txt out/dist/requirements-serving.txt
	cd out/dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

# All that a build copies is laid out in out/image first: see tests/images/build.py.
VARIANT ?= cpu
image: setup ## images of datasite, researcher and serving, by buildah, podman or docker (VARIANT=cuda BASE=debian:12-slim TARGETS="serving" SOURCE=https://...)
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m images.build --variant $(VARIANT) $(if $(BASE),--base $(BASE)) $(if $(TARGETS),--targets $(TARGETS)) $(if $(SOURCE),--source $(SOURCE))

image-test: setup ## after make image: three datasites and a researcher as containers, a study of two rounds, sizes, start times and a scan (ARGS="--tool docker")
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m images.trial $(ARGS)

clean: ## remove what the demo and the tests wrote
	rm -rf out state .pytest_cache .mypy_cache .ruff_cache .hypothesis
