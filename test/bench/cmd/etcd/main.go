// Command etcd is the etcd server of the module's version, as its own project
// builds it, so that the benchmark runs a release whose sources are pinned.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
