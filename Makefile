# Targets for people; .ci/run calls the same ones.
#
#   make build    both programs into bin/
#   make demo     a three-node cluster on loopback
#   make test     set up what is missing, then all tests in their short form
#   make unit     the tests of the packages; make cluster-short: those of real
#                 processes, in their short form
#   make race     unit tests under the race detector
#   make canaries doozer broken on purpose in every way there is: the tests must
#                 notice; TestMutations says how many they did. make canaries-short:
#                 a few of them
#   make sim      SEEDS=n simulations of whole clusters, in PROCS processes, from
#                 SEED on (the clock's)
#   make cluster  fault tests on real processes, long form
#   make campaign drills on real clusters FOR=1h, PAR=1 of them side by side;
#                 OUT=dir gets the report; empty: a temporary one
#   make failover Redis failover, doozer beside Redis Sentinel, TRIALS=30 of each harm
#   make failover-gate  what the gate costs: redis-benchmark with and without agents
#   make fuzz     every fuzz target, FOR=60s each
#   make bench    everything that test/bench measures, systems BENCHED side
#                 by side, ROUNDS of it: hours; bench-quick: the main figures, under five
#                 minutes; bench-growth: how cost grows, an hour;
#                 bench-growth-quick: its small sizes. Results go to OUT; DOCS=docs
#                 has tables and plots of docs/ written anew
#   make bench-go the Go benchmarks of the packages, with allocations
#   make lint     gofmt, vet, staticcheck
#   make vuln     govulncheck
#   make proto    generate the protocol code; make proto-check: is it fresh?

SHELL := /bin/bash
GO    ?= go
FOR   ?= 60s

.PHONY: build demo setup test unit race cluster fuzz lint fmt-check vuln proto proto-check clean

build:
	$(GO) build -o bin/ ./cmd/...

demo: build
	bin/doozerd demo

# Tests need a C compiler for the race detector, strace to make disks fail and
# protoc for proto-check.
setup:
	@.ci/setup

test: setup build unit canaries-short cluster-short

# Tests that run processes, sockets or disks have the machine to themselves: one
# package at a time. The others are pure, or run in the time of a bubble.
packages = $(GO) list ./... | grep -vE '/test/(cluster|canary)'
timely   = /(cmd|drill|test)/|/drill$$|/server/(boot|web)$$|/consensus/(transport|wal|checkpoint)|/client/(session|lock|election)

unit:
	$(GO) test -timeout 15m $$($(packages) | grep -vE '$(timely)')
	$(GO) test -timeout 15m -p 1 $$($(packages) | grep -E '$(timely)')

race:
	$(GO) test -race -timeout 20m $$($(packages) | grep -vE '$(timely)')
	$(GO) test -race -timeout 20m -p 1 $$($(packages) | grep -E '$(timely)')

# Not beside other tests: each runs tests, and processes, of its own.
.PHONY: canaries canaries-short
canaries-short:
	$(GO) test -count=1 -timeout 20m ./test/canary

canaries:
	DOOZER_TEST_LONG=1 $(GO) test -count=1 -v -timeout 240m ./test/canary

.PHONY: cluster-short
cluster-short:
	$(GO) test -count=1 -timeout 20m -p 1 ./test/cluster/...

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

PAR ?= 1
OUT ?=
.PHONY: campaign
campaign:
	$(GO) run ./test/cluster/cmd/campaign -for $(FOR) -par $(PAR) -out "$(OUT)"

# Redis failover by doozer's agents and, beside it, by Redis Sentinel: TRIALS of each
# kind of harm, by PAR rigs side by side, each of which uses a quarter of a processor; OUT
# as above. SYSTEMS and CASES choose.
TRIALS  ?= 30
PAR     ?= 1
SYSTEMS ?= doozer,doozer=redisdial,sentinel=1s,sentinel=5s
CASES   ?=
.PHONY: failover failover-gate
failover:
	$(GO) run ./test/failover/cmd/failover -trials $(TRIALS) -par $(PAR) -systems "$(SYSTEMS)" -cases "$(CASES)" -out "$(OUT)"

# What a master's gate costs: rounds of redis-benchmark SET, with agents and without them
# in turn, each FOR_GATE long.
ROUNDS   ?= 10
FOR_GATE ?= 5s
failover-gate:
	$(GO) run ./test/failover/cmd/failover gate -rounds $(ROUNDS) -for $(FOR_GATE)

fuzz:
	.ci/fuzz $(FOR)

# One harness for all systems, in a module of its own.
BENCHED ?= doozer,doozer-unary,etcd,zookeeper,echo
ROUNDS        ?= 5
BENCH          = cd test/bench && $(GO) run . -out "$(abspath $(or $(OUT),bench-results))" $(if $(DOCS),-docs "$(abspath $(DOCS))")

.PHONY: bench bench-quick bench-growth bench-growth-quick bench-go
bench:
	$(BENCH) -work all -systems "$(BENCHED)" -rounds $(ROUNDS)

bench-quick:
	$(BENCH) -whole -work set,get,localget,fanout,kill -callers 1:1,64:16,1000:100 -watchers 1000 -keys 20000 \
		-systems doozer,etcd,zookeeper -rounds 2 -for 1500ms -warm 500ms

bench-growth:
	$(BENCH) -work growth -systems doozer -rounds $(ROUNDS)

bench-growth-quick:
	$(BENCH) -work growth -quick -systems doozer -rounds 1 -for 1s -warm 300ms -keys 10000

bench-go:
	$(GO) test -run '^$$' -bench . -benchmem $$($(GO) list ./... | grep -v /test/)

# Fails if an error branch of log, checkpoint or snapshot was executed by no test.
.PHONY: errbranches
errbranches:
	$(GO) run ./test/errbranch

lint: fmt-check
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fmt-check:
	@files=$$(git ls-files '*.go'); test -n "$$files" || { echo "git names no files" >&2; exit 1; }; \
	bad=$$(gofmt -l $$files); test -z "$$bad" || { echo "gofmt: $$bad" >&2; exit 1; }

vuln:
	.ci/vuln

proto:
	proto/generate.sh

proto-check:
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && proto/generate.sh "$$tmp" && \
	for f in doozer.pb.go doozer_grpc.pb.go peerpb/peer.pb.go peerpb/peer_grpc.pb.go; do \
		cmp "proto/$$f" "$$tmp/proto/$$f" || { echo "proto/$$f is not fresh: run make proto" >&2; exit 1; }; done

clean:
	rm -rf bin
