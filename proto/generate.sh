#!/usr/bin/env bash
# Generates the Go code of the protocols with the plugins pinned in go.mod.
# protoc itself is Debian's protobuf-compiler; the generated headers leave its
# version out, so that any protoc 3.21 or later gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v protoc >/dev/null || {
	echo "proto: protoc is missing: apt-get install protobuf-compiler" >&2
	exit 2
}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
out=${1:-.}
module=github.com/doozer-store/doozer
PATH="$bin:$PATH" protoc -I proto \
	--go_out="$out" --go_opt=module=$module \
	--go-grpc_out="$out" --go-grpc_opt=module=$module \
	doozer/v1/doozer.proto doozer/peer/v1/peer.proto
find "$out/proto" -name '*.pb.go' -exec sed -i -E '/^\/\/ [-\t ]*protoc +(\(unknown\)|v[0-9.]+)$/d' {} +
