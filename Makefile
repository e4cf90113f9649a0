# Every target says in its own `## ` comment what it does; `make` lists them.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# What make release builds for, and what it ships beside the binary. Paths stay as
# they are, so that the links between the documents lead somewhere.
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
SHIPPED := LICENSE README.md CHANGELOG.md CONTRIBUTING.md nats.conf packaging/*.service docs/*.md docs/grafana.json

# The race detector needs a C compiler.
CC_FOUND := $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v "$$(go env CC | cut -d ' ' -f 1)")
RACE := $(if $(CC_FOUND),-race)

# How many inputs make fuzz gives each decoder. With a time instead, as in 1h, go
# now and then takes its end for a failure.
FUZZTIME := 5000x

# Of make chaos; 0 draws one.
SEED := 0

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@latest

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "  make %-13s %s\n", $$1, $$2 }'

.PHONY: build
build: ## build bin/belfry
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/belfry ./cmd/belfry

# The same sources, version and Go make the same bytes. It needs GNU tar and cp.
.PHONY: release
release: ## build dist/: an archive for each platform, and their checksums
	rm -rf dist && mkdir dist
	set -e; for platform in $(PLATFORMS); do \
		name="belfry_$(VERSION)_$$(echo $$platform | tr / _)"; mkdir "dist/$$name"; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -trimpath -buildvcs=false \
			-ldflags "-s -w $(LDFLAGS)" -o "dist/$$name/belfry" ./cmd/belfry; \
		cp --parents $(SHIPPED) "dist/$$name/"; \
		tar -C dist --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - "$$name" | gzip -n > "dist/$$name.tar.gz"; \
		rm -r "dist/$$name"; \
	done
	cd dist && sha256sum *.tar.gz > SHA256SUMS

.PHONY: run
run: build ## build and run the service, with data in ./data
	bin/belfry serve --nats-config nats.conf

# Most tests wait for real servers, so more run side by side than there are processors.
# Without GORACE each test binary sleeps a second before it exits.
.PHONY: test
test: ## run the tests, shuffled and under the race detector
	$(if $(RACE),,@echo "no C compiler found: the tests run without the race detector")
	GORACE="atexit_sleep_ms=0 $$GORACE" go test $(RACE) -shuffle=on -parallel 4 -timeout 20m ./...

.PHONY: fuzz
fuzz: ## fuzz every decoder of outside bytes, 5,000 inputs each; FUZZTIME=1000000x
	@set -e; grep -r '^func Fuzz' --include='*_test.go' . | sed 's|/[^/]*:func | |; s|(.*||' | sort | while read -r package target; do \
		echo "$$package $$target"; \
		go test "$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x; \
	done

.PHONY: shows
shows: ## play bad endpoints, a rate limit, a million jobs and 10,000 routes in full size
	mkdir -p bin
	go test -count=1 -timeout 30m -v -artifacts -outputdir bin -run '^(TestHangingEndpointDelaysNoOtherRoute|TestEndpointDown|TestRateLimitOverTwoNodes|TestListingManyJobsUsesBoundedMemory|TestManyIdleRoutesCostLittle|TestManyRoutesOnTheEmbeddedServer)$$' ./cmd/belfry -full

.PHONY: load
load: build ## measure 1,000 webhooks over 5 s on a belfry of its own
	go build -trimpath -o bin/loadgen ./cmd/loadgen
	bin/loadgen --belfry bin/belfry --nats-config nats.conf --jobs 1000 --over 5s --max-p50 3ms --max-p99 10ms

.PHONY: chaos
chaos: build bin/nats-server ## break things while it works, embedded and in a cluster; SEED=7 repeats the faults of a run
	go build -trimpath -o bin/chaos ./cmd/chaos
	bin/chaos --setting embedded --seed $(SEED)
	bin/chaos --setting cluster --seed $(SEED)

.PHONY: cluster-demo
cluster-demo: build bin/nats-server ## run docs/cluster.md: three nats-servers, two nodes, one of them killed
	go build -trimpath -o bin/clusterdemo ./cmd/clusterdemo
	bin/clusterdemo

# The nats-server of go.mod.
.PHONY: bin/nats-server
bin/nats-server:
	CGO_ENABLED=0 go build -trimpath -o $@ github.com/nats-io/nats-server/v2

.PHONY: bench
bench: build ## measure belfry beside native schedules and the bare limit; BENCH='--only burst'
	go build -trimpath -o bin/bench ./cmd/bench
	bin/bench --belfry bin/belfry $(BENCH)

.PHONY: check
check: lint test fuzz ## all that a change needs

.PHONY: lint
lint: format vet staticcheck tidy ## all checks but test and fuzz

.PHONY: format
format: ## fail if a file is not formatted
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet: ## run go vet
	go vet ./...

.PHONY: staticcheck
staticcheck: ## run staticcheck
	$(STATICCHECK) ./...

.PHONY: tidy
tidy: ## fail if go.mod or go.sum is not tidy
	go mod tidy -diff

.PHONY: fmt
fmt: ## format the code
	gofmt -w .

.PHONY: govulncheck
govulncheck: ## look for known vulnerabilities; needs the network
	$(GOVULNCHECK) ./...
