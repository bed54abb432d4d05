BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
.DEFAULT_GOAL := help
.PHONY: help install run test chaos chaos-cluster soak rivals bench bench-latency bench-scale bench-clickhouse bench-stages fuzz docs docs-site linter audit build sbom lock clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 25

# A Python that is not on the PATH: make run PYTHON=/path/to/python
.venv/.run: requirements-demo.lock pyproject.toml scripts/venv.sh
	@sh scripts/venv.sh $(PYTHON)
	@echo "installing what the demo needs into .venv: 1 GB, about a minute, once"
	@$(PIP) --require-hashes -r requirements-demo.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

install: .venv/.done ## Make .venv with this package and all locked dependencies, including those of the tests

.venv/.done: requirements-dev.lock .venv/.run
	@echo "installing what the tests need into .venv: 400 MB more, about half a minute, once"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

run: .venv/.run ## Run the whole system in this terminal, its servers embedded; Ctrl-C ends it
	@$(BIN)/python scripts/foreground.py $(BIN)/domination demo

test: install ## Run the tests; a real Kafka is started if Java 17 and mvn are there
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

SEED ?= 1
chaos: SECONDS ?= 600
chaos: LATE ?= 0
chaos: install ## Inject faults into workers and broker, and count the records: make chaos SECONDS=600 SEED=1
	PYTHONPATH=tests $(BIN)/python tests/chaos/chaos.py --seconds $(SECONDS) --seed $(SEED) --late $(LATE)

chaos-cluster: SECONDS ?= 600
chaos-cluster: install ## Kill the coordinators of three brokers in turn: make chaos-cluster SECONDS=600 SEED=1
	PYTHONPATH=tests $(BIN)/python tests/chaos/chaos_cluster.py --seconds $(SECONDS) --seed $(SEED)

soak: install ## Run an hour with a fault a minute, and check that a worker does not grow
	PYTHONPATH=tests $(BIN)/python tests/chaos/chaos.py --soak --seconds 3600 --seed $(SEED)

SEEDS ?= 1
RIVALS := $(patsubst %,.rivals/%/.done,bytewax faust quix)
rivals: install $(RIVALS) .rivals/streams/.done ## Compare with other libraries under the same faults: make rivals SEEDS="1 2"
	PYTHONPATH=tests $(BIN)/python tests/chaos/rivals.py $(addprefix --seed ,$(SEEDS))

.rivals/%/.done: tests/chaos/contenders/%.txt | .venv/.run
	$(BIN)/python -m venv --clear .rivals/$*
	.rivals/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

STREAMS := .rivals/streams/.done
BENCH := PYTHONPATH=tests $(BIN)/python benchmarks
bench: RECORDS ?= 1000000
bench: ROUNDS ?= 3
bench: SECONDS ?= 15
bench: .venv/.bench $(RIVALS) $(STREAMS) .rivals/limit/.done ## Compare the speed with other libraries: make bench RECORDS=1000000 ROUNDS=3
	$(BENCH)/bench.py --records $(RECORDS) --rounds $(ROUNDS) --seconds $(SECONDS)
	$(BENCH)/plot.py

bench-latency: .venv/.bench $(STREAMS) ## Compare the latency with Kafka Streams
	$(BENCH)/latency.py
	$(BENCH)/plot.py

bench-scale: install ## Measure more workers, partitions, records, bytes, bad input
	$(BENCH)/scale.py

bench-clickhouse: install ## Measure ClickHouse: rows a second, and their age
	$(BENCH)/rows.py

bench-stages: install ## Measure the cost of a record, stage by stage
	$(BENCH)/stages.py

.venv/.bench: .venv/.done requirements-bench.lock
	$(PIP) --require-hashes -r requirements-bench.lock
	@touch $@

$(STREAMS): benchmarks/contestants/pom.xml benchmarks/contestants/Shadows.java
	-mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(@D) && \
	    javac -cp "$(@D)/*" -d $(@D)/classes benchmarks/contestants/Shadows.java && touch $@

# With the librdkafka that confluent-kafka's wheel brings, wherever that is.
LIBRDKAFKA = $(abspath $(wildcard .venv/lib/python3.*/site-packages/confluent_kafka.libs/librdkafka*))
.rivals/limit/.done: benchmarks/contestants/limit.c .venv/.done
	@mkdir -p $(@D)
	-cc -O2 -o $(@D)/limit $< $(LIBRDKAFKA) -Wl,-rpath,$(dir $(LIBRDKAFKA)) \
	    -Wl,--allow-shlib-undefined && touch $@

fuzz: SECONDS ?= 60
fuzz: .venv/.fuzz ## Search for input that breaks reading or writing: make fuzz SECONDS=60
	PYTHONPATH=tests $(BIN)/python -m harness.fuzz -max_total_time=$(SECONDS)

.venv/.fuzz: .venv/.done requirements-fuzz.lock
	$(PIP) --require-hashes -r requirements-fuzz.lock
	@touch $@

docs: install ## Write docs/cli.md from the commands
	$(BIN)/python docs/cli.py

# A warning is an error, unless --quiet hides it. NO_MKDOCS_2_WARNING: the theme's maker tells of its successor with each build.
docs-site: .release/docs/.done ## Build the documentation as a site, into site/
	.release/docs/bin/python docs/pages.py .release/pages
	NO_MKDOCS_2_WARNING=1 .release/docs/bin/mkdocs build --strict

linter: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

LOCKS := $(addprefix requirements,.lock -build.lock -dev.lock -fuzz.lock -bench.lock -sbom.lock -docs.lock)
audit: install ## Look for known vulnerabilities in the locked dependencies; needs the network
	$(BIN)/python .ci/audit.py $(LOCKS)

# What is published is built in an environment of its own, with locked hashes only, not beside the tests' packages.
.release/%/.done: requirements-%.lock
	$(firstword $(wildcard $(BIN)/python) python3) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

build: .release/build/.done ## Build the wheel and the source distribution into dist/
	.release/build/bin/hatchling build

sbom: .release/sbom/.done ## List the image's Python packages, with hashes, in domination.cdx.json (CycloneDX)
	.release/sbom/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
	    --output-reproducible --output-file domination.cdx.json

COMPILE := $(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --no-emit-index-url

# The tools that test the lowest versions.
TRY := (hypothesis|playwright|pytest|pytest-timeout|pyyaml)

lock: install ## Lock the newest dependencies again, and the lowest ones
	$(COMPILE) --upgrade --extra monitor pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --constraint requirements.lock --group build -o requirements-build.lock
	$(COMPILE) --upgrade --constraint requirements.lock --constraint requirements-build.lock --group checkout \
	    --extra demo pyproject.toml -o requirements-demo.lock
	$(COMPILE) --upgrade --constraint requirements-demo.lock --group dev --extra demo pyproject.toml \
	    -o requirements-dev.lock
	$(COMPILE) --upgrade --group fuzz -o requirements-fuzz.lock
	$(COMPILE) --upgrade --constraint requirements-dev.lock --group bench -o requirements-bench.lock
	$(COMPILE) --upgrade --group sbom -o requirements-sbom.lock
	$(COMPILE) --upgrade --group docs -o requirements-docs.lock
	{ grep -oE 'rich>=[0-9.]+' pyproject.toml; grep -E '^$(TRY)==' requirements-dev.lock | tr -d '\\'; } | \
	    $(COMPILE) --resolution lowest-direct pyproject.toml - -o requirements-lowest.lock

clean: ## Remove what the other targets made
	rm -rf .venv .release dist site domination.cdx.json .kafka .rivals .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz
