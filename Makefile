.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := $(CURDIR)/bin
GO ?= go

PACKAGES := ./...
LDFLAGS := -s -w

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## every binary into bin/
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

.PHONY: up
up: build ## the whole mesh on this machine, in front until Ctrl-C
	$(BIN)/kitmesh up

.PHONY: down
down: ## end the mesh that make up started
	@if [ -x $(BIN)/kitmesh ]; then $(BIN)/kitmesh down; else echo "nothing is built, so nothing of ours runs"; fi

.PHONY: test
test: build bin/consul ## unit and integration tests, against a real Consul and a real broker
	$(GO) test -race -timeout 15m $$($(GO) list $(PACKAGES) | grep -v /meshtest)
	$(GO) test -run '^TestSimulat' ./infra/mesh/target
	KITMESH_TEST_SAGA=quick $(GO) test -count=1 -timeout 5m -v -run TestKilledAtEveryStep ./cmd/internal/audittest
	$(GO) test -race -count=1 -timeout 15m -v ./cmd/internal/meshtest

.PHONY: check
check: lint fresh ## what must hold before a commit, the tests aside: lint, vet, dependency rule, generated files

.PHONY: lint
lint: bin/golangci-lint
	$(GO) vet -tags compose $(PACKAGES)
	$(BIN)/golangci-lint run $(PACKAGES)
	$(GO) test -count=1 .

.PHONY: fresh
fresh: generate
	@git diff --exit-code --stat -- transports/proto || { echo "generated files are stale: commit what make generate wrote"; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard -- transports/proto)" || { echo "generated files are not committed: git add transports/proto"; exit 1; }

.PHONY: generate
generate: bin/buf bin/protoc-gen-go bin/protoc-gen-go-grpc ## write the generated files anew
	PATH="$(BIN):$$PATH" $(BIN)/buf generate

.PHONY: test-kill
test-kill: build bin/consul ## the promises at full size: 200 requests/s, a minute per service, a kill every 2 s
	KITMESH_TEST_KILL=1 $(GO) test -count=1 -timeout 30m -v -run TestMesh ./cmd/internal/meshtest

.PHONY: test-faults
test-faults: build bin/consul ## a paused, a slow and a half-failing instance, stock go-kit beside: 20 minutes (ARGS=-update writes docs/faults.md)
	KITMESH_TEST_FAULTS=$${KITMESH_TEST_FAULTS:-60s} $(GO) test -count=1 -timeout 60m -v -run 'TestFault' ./cmd/internal/meshtest $(ARGS)

.PHONY: test-lost
test-lost: build bin/consul ## nothing is lost: everything killed at random for 5.5 minutes under 175 requests/s, then the audit; twice
	KITMESH_TEST_LOST=$${KITMESH_TEST_LOST:-5m30s} $(GO) test -count=1 -timeout 60m -v -run TestNothingLost ./cmd/internal/meshtest

.PHONY: test-overload
test-overload: build bin/consul ## three times as many customers as the shop can serve; needs a quiet machine
	KITMESH_TEST_OVERLOAD=1 $(GO) test -count=1 -timeout 10m -v -run TestOverload ./cmd/internal/meshtest

.PHONY: test-audit
test-audit: build bin/consul ## check the checker: the audit finds each of six deliberate bugs, in one process and in a mesh under kills (KITMESH_AUDIT_RUNS=20 times)
	KITMESH_TEST_AUDIT=1 $(GO) test -count=1 -timeout 180m -v ./cmd/internal/audittest

.PHONY: test-saga
test-saga: build bin/consul ## processes die at every step of an order, before and after its effect, in a whole mesh; then the audit: 2 minutes
	KITMESH_TEST_SAGA=all $(GO) test -count=1 -timeout 30m -v -run TestKilledAtEveryStep ./cmd/internal/audittest

.PHONY: chaos
chaos: build bin/consul ## the twelve experiments, each on a fresh mesh, and their verdicts: 20 minutes (STACK=mesh,stock SCALE=1 REPORT=chaos.html)
	$(BIN)/kitmesh chaos run all --up --stack $${STACK:-mesh} --scale $${SCALE:-1} --again 2 --report $${REPORT:-chaos.html}

.PHONY: test-browser
test-browser: build bin/consul ## the pages and reports in Chromium, and Zipkin clients of other languages (Node 20, Chromium)
	cd test/browser && npm ci --no-audit --no-fund && npm test

.PHONY: fuzz
fuzz: ## every fuzz target for a few seconds (FUZZTIME=5s)
	@for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
		for t in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$f | cut -c6-); do \
			echo "$$t in $$(dirname $$f)"; \
			$(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $${FUZZTIME:-5s} $$(dirname $$f) || exit 1; \
		done; \
	done

.PHONY: bench
bench: ## kitmesh beside raw gRPC, go-kit, Kratos and go-zero in one run, as ratios
	cd bench && $(GO) run .

.PHONY: bench-orders
bench-orders: build bin/consul ## orders per second with everything synced, and what bounds them: docs/durability.md
	KITMESH_BENCH_ORDERS=1 $(GO) test -count=1 -timeout 10m -v -run TestOrdersPerSecond ./cmd/internal/meshtest

.PHONY: simulate
simulate: ## 10,000 callers of 1,000 instances through failures, into docs/simulation.md (SIZE=1 SEED=1)
	$(GO) test -count=1 -timeout 3h -parallel 2 -v -run '^TestSimulate$$' ./infra/mesh/target \
		-args -simulate $(CURDIR)/docs/simulation.md -size $${SIZE:-1} -seed $${SEED:-1}

.PHONY: images
images: ## the image of the shop, with a container registry in reach
	docker compose build

.PHONY: images-offline
images-offline: bin/consul ## every image of the stack, from package registries alone
	infra/deploy/offline/images.sh

.PHONY: test-compose
test-compose: build ## the compose stack for real, on a Docker Engine
	infra/deploy/offline/images.sh --if-needed
	trap 'infra/deploy/offline/images.sh --stop-engine' EXIT; $(GO) test -tags compose -count=1 -v -timeout 20m ./infra/deploy/...

# The tools are built once, from the Go module proxy, each pinned in a module of
# its own so that go.mod stays the product's.
bin/consul: tools/consul/go.mod
	@mkdir -p $(BIN)
	@echo "building Consul once from its sources: about 5 minutes on two cores"
	cd tools/consul && $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/consul github.com/hashicorp/consul

bin/golangci-lint: tools/lint/go.mod
	@mkdir -p $(BIN)
	@echo "building golangci-lint once from its sources: a few minutes"
	cd tools/lint && $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/buf: tools/buf/go.mod
	@mkdir -p $(BIN)
	cd tools/buf && $(GO) build -trimpath -o $(BIN)/buf github.com/bufbuild/buf/cmd/buf

bin/protoc-gen-go: tools/buf/go.mod
	@mkdir -p $(BIN)
	cd tools/buf && $(GO) build -trimpath -o $(BIN)/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go

bin/protoc-gen-go-grpc: tools/buf/go.mod
	@mkdir -p $(BIN)
	cd tools/buf && $(GO) build -trimpath -o $(BIN)/protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc
