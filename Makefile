# Targets for people; .ci/run calls the same ones.
#
#   make build    both programs into bin/
#   make demo     a three-node cluster on loopback
#   make test     set up what is missing, then all tests in their short form
#   make unit     the tests of the packages; make cluster-short: those of real
#                 processes, in their short form
#   make race     unit tests under the race detector
#   make sim      SEEDS=n simulations of whole clusters, in PROCS processes, from
#                 SEED on (the clock's)
#   make cluster  fault tests on real processes, long form
#   make fuzz     every fuzz target, FOR=60s each
#   make bench    Go benchmarks, then a cluster under load
#   make lint     gofmt, vet, staticcheck
#   make vuln     govulncheck
#   make proto    generate the protocol code; make proto-check: is it fresh?

SHELL := /bin/bash
GO    ?= go
FOR   ?= 60s

.PHONY: build demo setup test unit race cluster fuzz bench lint fmt-check vuln proto proto-check clean

build:
	$(GO) build -o bin/ ./cmd/...

demo: build
	bin/doozerd demo

# Tests need a C compiler for the race detector, strace to make disks fail,
# protoc for proto-check and curl to see whether a database can be reached.
setup:
	@.ci/setup

test: setup build unit cluster-short

unit:
	$(GO) test $$($(GO) list ./... | grep -v /test/cluster)

race:
	$(GO) test -race $$($(GO) list ./... | grep -v /test/cluster)

.PHONY: cluster-short
cluster-short:
	$(GO) test -count=1 -timeout 20m ./test/cluster/...

cluster:
	DOOZER_TEST_LONG=1 $(GO) test -count=1 -v -timeout 60m ./test/cluster/...

SEEDS ?= 1000
SEED  ?= $(shell date +%s)000
PROCS ?= 1

.PHONY: sim
sim:
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && $(GO) test -c -o "$$tmp/sim" ./consensus/sim && \
	each=$$(( ($(SEEDS) + $(PROCS) - 1) / $(PROCS) )) && cd consensus/sim && \
	for i in $$(seq 0 $$(($(PROCS) - 1))); do \
		{ GOGC=400 GOMAXPROCS=1 "$$tmp/sim" -test.run '^TestSeeds$$' -test.v -test.timeout 0 -seeds $$each \
			-seed $$(($(SEED) + i * each)) > "$$tmp/out$$i" 2>&1 || touch "$$tmp/failed"; } & \
	done && wait && cat "$$tmp"/out* && test ! -e "$$tmp/failed"

fuzz:
	.ci/fuzz $(FOR)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./store ./consensus/... ./client ./server
	$(GO) run ./test/cluster/cmd/load -start -op set,get,localget -callers 1,64,1000 -for 5s

lint: fmt-check
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fmt-check:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "gofmt: $$bad" >&2; exit 1; }

vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0 ./...

proto:
	proto/generate.sh

proto-check:
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && proto/generate.sh "$$tmp" && \
	for f in doozer.pb.go doozer_grpc.pb.go peerpb/peer.pb.go peerpb/peer_grpc.pb.go; do \
		cmp "proto/$$f" "$$tmp/proto/$$f" || { echo "proto/$$f is not fresh: run make proto" >&2; exit 1; }; done

clean:
	rm -rf bin
