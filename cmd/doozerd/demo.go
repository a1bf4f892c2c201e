package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/server/boot"
)

// Ports of the demo's first node; the others have the next ones.
const (
	demoClientPort = 8046
	demoPeerPort   = 8056
	demoWebPort    = 8000
)

func (p *program) demoCommand() *cobra.Command {
	var nodes int
	var dataDir string
	var log logOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole cluster in this process, on loopback, to try doozer",
		Long: `demo runs a whole cluster in one process on loopback: clients on ports 8046,
8047, 8048, metrics and health on 8000, 8001, 8002. Without --data-dir its data goes
to a temporary directory, which is removed at the end. Ctrl-C stops it.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return p.demo(nodes, dataDir, &log) },
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "number of nodes: 1, 3 or 5")
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "directory to keep the data in (default: a temporary one)")
	log.flags(cmd, "warn")
	return cmd
}

func (p *program) demo(nodes int, dataDir string, options *logOptions) error {
	if nodes != 1 && nodes != 3 && nodes != 5 {
		return fmt.Errorf("--nodes %d: a cluster has 1, 3 or 5 nodes", nodes)
	}
	log, err := options.logger(p.stderr)
	if err != nil {
		return err
	}
	if dataDir == "" {
		if dataDir, err = os.MkdirTemp("", "doozer-demo-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dataDir) }()
	}
	var cluster, clients []string
	for i := range nodes {
		cluster = append(cluster, fmt.Sprintf("%s=127.0.0.1:%d", demoName(i), demoPeerPort+i))
		clients = append(clients, fmt.Sprintf("ca=127.0.0.1:%d", demoClientPort+i))
	}
	defer tuneGC(p.env)()
	var running []*boot.Node
	for i := range nodes {
		n, err := boot.Start(boot.Config{
			Name: demoName(i), DataDir: filepath.Join(dataDir, demoName(i)),
			Listen: fmt.Sprintf("127.0.0.1:%d", demoClientPort+i), Web: fmt.Sprintf("127.0.0.1:%d", demoWebPort+i),
			Cluster: strings.Join(cluster, ","), Version: version(), Logger: log.With("node", demoName(i)),
		})
		if err != nil {
			_ = p.stop(running)
			return err
		}
		running = append(running, n)
	}
	fmt.Fprintf(p.stdout, `A cluster of %d nodes runs in this process; its data is in %s.
Metrics and health: http://127.0.0.1:%d/ and the next ports. Ctrl-C stops it.

In another shell:

    export DOOZER_URI='doozer:?%s'
    %[5]s set /hello world
    %[5]s get /hello
    %[5]s watch --snapshot '/**'
`, nodes, dataDir, demoWebPort, strings.Join(clients, "&"), clientProgram())
	return p.until(running)
}

// clientProgram is what to type for the command line client: where it lies
// beside this program, its path.
func clientProgram() string {
	if len(os.Args) > 0 && strings.Contains(os.Args[0], "/") {
		beside := filepath.Join(filepath.Dir(os.Args[0]), "doozer")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return "doozer"
}

// demoName names nodes a, b, c, ...
func demoName(i int) string { return string(rune('a' + i)) }
