# make            what there is to make
# make test       everything that CI runs, in the same order

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED = 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X lockstep/internal/cli/lockstep.version=$(VERSION)

# Packages that the race detector can afford: no proof against real peers, no
# daemons by the dozen, no scripts that start whole programs.
RACE = $$(go list ./... | grep -vE '^lockstep/internal/(proof|rsync/daemon$$|cli/(lockstep|rsync)$$)')

FUZZ_SECONDS ?= 3
FUZZ_BUDGET  ?= 60
BENCH_FLAGS  ?=

.PHONY: help build test peers lint cross fuzz race unit bench-live bench-rsync bench-inotify packages bench-daemon clean

help:
	@echo 'make build       the static binary, bin/lockstep'
	@echo 'make packages    .deb and .rpm in dist, the same bytes from the same commit'
	@echo 'make test        checks, fuzzing, race detector, all tests (installs what is missing, as root)'
	@echo 'make unit        all tests, nothing else'
	@echo 'make lint        gofmt, go vet, staticcheck'
	@echo 'make fuzz        each fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS)), FUZZ_BUDGET ($(FUZZ_BUDGET)) seconds in all'
	@echo 'make bench-live  the mirror against lsyncd and inotifywait+rsync; BENCH_FLAGS are passed on'
	@echo 'make bench-inotify the face of inotifywait against inotifywait, as root'
	@echo 'make bench-rsync the rsync face against rsync; BENCH_FLAGS=-full for the large sizes'
	@echo 'make bench-daemon  200 clients at once, with the daemons of rsync and lockstep'

build:
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/lockstep ./cmd/lockstep

# The tests come last: whoever reads the end of the output sees their result.
test: peers lint cross fuzz race unit

peers:
	.ci/peers

lint:
	@echo '== gofmt'
	@files=$$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go'); \
	  bad=$$(gofmt -l $$files); \
	  if [[ -n $$bad ]]; then echo "not formatted, run gofmt -w:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

cross:
	GOARCH=arm64 go build -o /dev/null ./cmd/lockstep
	GOARCH=arm64 go vet ./...
	GOARCH=amd64 go build -o /dev/null ./cmd/lockstep

fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_BUDGET=$(FUZZ_BUDGET) .ci/fuzz

# The race detector is written in C: it alone needs cgo.
race:
	@if command -v $${CC:-gcc} >/dev/null; then \
	  echo 'CGO_ENABLED=1 go test -race -short'; \
	  CGO_ENABLED=1 go test -race -short -timeout 8m $(RACE); \
	else echo 'no C compiler: the race detector is left out'; [[ $${CI:-} != true ]]; fi

unit:
	go test -timeout 12m ./...

bench-live:
	go run ./internal/proof/benchlive $(BENCH_FLAGS)

bench-rsync:
	go run ./internal/proof/benchrsync $(BENCH_FLAGS)

bench-inotify:
	go run ./internal/proof/benchinotify $(BENCH_FLAGS)

packages:
	go run ./internal/release

bench-daemon:
	go run ./internal/proof/benchdaemon $(BENCH_FLAGS)

clean:
	rm -rf bin dist
