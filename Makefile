# velo. `make run` and `make test` need Go and make, nothing else.

GO       ?= go
TOOL      = $(GO) tool -modfile=tools/go.mod
PACKAGES  = ./...
FUZZTIME ?= 10s
BENCH    ?= .

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r t d; do printf '  %-8s %s\n' "$$t" "$$d"; done

.PHONY: run
run: ## the canonical workload on the built-in generator, five times 2 s
	$(GO) run ./cmd/veloperf run

.PHONY: build
build: ## bin/velo and bin/veloperf
	$(GO) build -o bin/ ./cmd/...

# Packages without goroutines: the race detector finds nothing there and takes ten times as long.
PURE = ./core/agg ./core/expr ./core/groupkey ./core/layout ./core/window ./docs ./internal/enum ./internal/golden ./internal/lint ./internal/mutants ./internal/testgen ./plan ./query/... ./record

# The race detector needs cgo and a C compiler. It makes tests five to ten times as slow, and finds
# nothing that depends on the seed of a simulation, so it runs with the seeds of -short. All seeds run
# with the invariants checked and without it.
.PHONY: test
test: ## all tests: short ones with the race detector where there is a C compiler, then all with invariants
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null 2>&1; then \
		echo "testing with the race detector"; \
		$(GO) test -race -short -timeout 25m $$($(GO) list $(PACKAGES) | grep -vxF "$$($(GO) list $(PURE))"); \
	else \
		echo "testing WITHOUT the race detector: there is no C compiler"; \
	fi
	$(GO) test -tags invariants -timeout 25m $(PACKAGES)

.PHONY: race
race: ## all tests with the race detector
	$(GO) test -race -timeout 25m $(PACKAGES)

# The packages whose short tests end in seconds, and vet for the others.
QUICK = . ./affinity ./core/agg ./core/epoch ./core/expr ./core/groupkey ./core/table ./core/window ./plan ./result ./examples/... ./internal/... \
	./query/... ./record ./ring/... ./writers

.PHONY: quick
quick: ## what one runs while editing: format, vet, the layers, the tests that end in seconds
	@out="$$($(TOOL) gofumpt -l .)"; if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet $(PACKAGES)
	$(GO) test -short $(QUICK)

.PHONY: check
check: static ## what static does, and short tests
	$(GO) test -short $(PACKAGES)

.PHONY: static
static: ## modules, format, vet, staticcheck, gcassert
	@for m in bench/peers bench/peers/streams $(NESTED); do (cd $$m && $(GO) list -deps ./... >/dev/null) || { echo "$$m: go.mod does not fit the module that it measures"; exit 1; }; done
	@out="$$($(TOOL) gofumpt -l .)"; if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet $(PACKAGES)
	$(TOOL) staticcheck $(PACKAGES)
	$(TOOL) gcassert $(PACKAGES)

# The packages that have other code with purego, with the race detector or with invariants, and those that show at once
# if such code is wrong. All others get to it through these, and their tests would only repeat what make test has shown.
# A test of internal/lint finds what is missing here.
TWINS = . ./affinity ./core/... ./engine ./internal/... ./query/... ./readers ./record ./ring/...

.PHONY: twins
twins: ## short tests of the packages whose code depends on build tags: without tags, and with purego
	$(GO) test -short $(TWINS)
	$(GO) test -short -tags purego $(TWINS)

.PHONY: golden
golden: ## write the golden files (testdata/*.txt) again; git diff says what has changed
	$(GO) test ./core ./query/... ./engine ./velocli -run 'Scenarios|Golden|Faults|Explain|StatsString' -rewrite

.PHONY: cross
cross: ## build and vet for the other systems
	@for t in linux/arm64 darwin/arm64 windows/amd64; do \
		echo "$$t"; \
		GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet $(PACKAGES) || exit 1; \
		GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) build $(PACKAGES) || exit 1; \
	done

# Go would minimize the first interesting input for a minute, and the run would be over.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@for p in $$($(GO) list $(PACKAGES)); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 3x $$p || exit 1; \
		done; \
	done

.PHONY: mutants
mutants: ## one broken line at a time: do the tests notice? Some 15 min (MUTANTS='-named', '-run regexp')
	$(GO) run ./internal/mutants $(MUTANTS)

CHAOS ?= 5m

.PHONY: soak
soak: ## signals to velo at random moments, 200 and 100 of them that kill it; three brokers of Kafka that fail for CHAOS (5m)
	VELO_SOAK=1 $(GO) test -count=1 -timeout 30m -run 'Signal|Kill' -v ./velocli
	@cd connect/kafka && if jars=$$(VELO_KAFKA=$${VELO_KAFKA:-fetch} $(GO) run ./internal/broker/jars); then \
		VELO_KAFKA=$$jars VELO_KAFKA_SOAK=$(CHAOS) $(GO) test -count=1 -timeout 2h -run TestChaos -v .; \
	else \
		echo "skipped: there is no broker to test with (Debian: apt-get install default-jre-headless maven)"; \
	fi

KILLS ?= 1000

.PHONY: kill
kill: ## jobs that keep their state, killed KILLS (1000) times, end as if they had not been (VELO_SEED=n for one)
	KILLS=$(KILLS) $(GO) test -count=1 -timeout 60m -run 'TestKill$$' -v ./engine

.PHONY: bench
bench: ## benchmarks (BENCH=regexp); compare runs with benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PACKAGES)

.PHONY: cover
cover: ## statement coverage of each package
	$(GO) test -short -cover $(PACKAGES)

.PHONY: peers
peers: ## velo beside other queues, Go maps, DuckDB and streaming frameworks (bench/peers, modules of their own)
	cd bench/peers && $(GO) run ./ring && $(GO) run ./agg && $(GO) run ./files
	cd bench/peers/streams && $(GO) run .

# Half an hour is for a loaded machine; it takes some minutes.
.PHONY: diff
diff: ## velo's SQL compared with PostgreSQL, DuckDB and SQLite: 20,000 random queries for each (VELO_DIFF=n)
	cd bench/peers && VELO_DIFF=$${VELO_DIFF:-20000} $(GO) test ./sql -count=1 -v -timeout 30m

# The nested modules of connectors, of the PostgreSQL protocol, of the collector, and of the tests of deploy, which is nothing but tests of files.
NESTED = connect/arrow connect/kafka connect/parquet connect/postgres connect/cmd/velo pg metrics/prom deploy

.PHONY: nested
nested: ## format, vet, staticcheck and test the nested modules, and vet them for the other systems
	@out="$$($(TOOL) gofumpt -l $(NESTED))"; if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	@for m in $(NESTED); do echo "$$m"; \
		(cd $$m && $(GO) vet ./... && $(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./... && $(GO) test -short -timeout 10m ./...) || exit 1; \
		[ $$m = deploy ] || for t in linux/arm64 darwin/arm64 windows/amd64; do \
			(cd $$m && GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet ./...) || exit 1; \
		done; \
	done

.PHONY: release
release: ## archives, bills of materials and checksums for all systems, into dist (VERSION=v1.2.3)
	$(GO) run ./internal/release -out dist $(if $(VERSION),-version $(VERSION))

# VELO_KAFKA=DIR takes the jars of Kafka from DIR; else Maven fetches them into the user's cache, once.
.PHONY: kafka-test
kafka-test: ## the tests of connect/kafka with a real broker, too: java 17 or newer, and Maven the first time
	@cd connect/kafka && if jars=$$(VELO_KAFKA=$${VELO_KAFKA:-fetch} $(GO) run ./internal/broker/jars); then \
		VELO_KAFKA=$$jars VELO_KAFKA_SOAK=$${VELO_KAFKA_SOAK:-15s} $(GO) test -count=1 -timeout 10m ./...; \
	else \
		echo "skipped: there is no broker to test with (Debian: apt-get install default-jre-headless maven)"; \
	fi

# VELO_PGJDBC=JAR takes pgjdbc from there; else Maven fetches it into the user's cache, once.
.PHONY: pg-test
pg-test: ## the tests of pg with all clients that are here: psql, pgjdbc, psycopg; and with PostgreSQL
	cd pg && VELO_PGJDBC=$${VELO_PGJDBC:-fetch} $(GO) test -count=1 -timeout 10m ./...

.PHONY: pg-bench
pg-bench: ## one key, 100,000 rows and \d over the PostgreSQL protocol
	cd pg && $(GO) test -run '^$$' -bench '$(BENCH)' -count=3 .

.PHONY: peers-test
peers-test: ## vet and test the rivals' modules
	cd bench/peers && $(GO) vet ./... && $(GO) test ./...
	cd bench/peers/streams && $(GO) vet ./... && $(GO) test ./...
