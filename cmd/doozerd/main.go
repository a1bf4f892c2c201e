package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/server/boot"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals))
}

// stopTime is how long requests in flight may take when the node stops.
const stopTime = 5 * time.Second

// run is main with its surroundings as arguments; it returns the exit status.
func run(args, env []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	p := &program{env: env, stdout: stdout, stderr: stderr, signals: signals}
	root := p.rootCommand()
	// Not nil: cobra would take the process's own.
	root.SetArgs(append([]string{}, args...))
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.Execute(); err != nil {
		fmt.Fprintf(stderr, "doozerd: %v\n", oneLine(err))
		return 2
	}
	return 0
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// program is what the commands share.
type program struct {
	env            []string
	stdout, stderr io.Writer
	signals        <-chan os.Signal

	cfg boot.Config
	log logOptions
}

func (p *program) rootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doozerd",
		Short: "A node of a doozer cluster",
		Long: `doozerd is a node of doozer, a consistent, highly available store for small
amounts of extremely important data. A cluster has 1, 3 or 5 nodes.

Every flag can be given in the environment too, --data-dir as DOOZERD_DATA_DIR.
SIGTERM stops a node in good order. Exit status: 0 stopped, 2 any error.`,
		Example: `  doozerd demo
  doozerd --data-dir /var/lib/doozer
  doozerd --name a --data-dir /var/lib/doozer --listen h1:8046 \
      --cluster a=h1:8056,b=h2:8056,c=h3:8056`,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(*cobra.Command, []string) error { return p.serve() },
	}
	cmd.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return p.fromEnv(c) }
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())
	})
	f := cmd.Flags()
	f.StringVar(&p.cfg.Name, "name", "", "this node's name in --cluster (default: what the data directory says)")
	f.StringVar(&p.cfg.DataDir, "data-dir", "", "directory for this node's data (required)")
	f.StringVar(&p.cfg.Listen, "listen", boot.DefaultListen, "address to serve clients on")
	f.StringVar(&p.cfg.Advertise, "advertise", "", "address that clients are told to dial (default: --listen)")
	f.StringVar(&p.cfg.PeerListen, "peer-listen", "", "address to serve the other nodes on (default: this node's in --cluster)")
	f.StringVar(&p.cfg.PeerAdvertise, "peer-advertise", "", "address for the other nodes to publish in /ctl (default: this node's in --cluster, which they dial)")
	f.StringVar(&p.cfg.Web, "web", boot.DefaultWeb, "address for /metrics, /livez, /readyz and /debug/pprof, or false")
	f.StringVar(&p.cfg.Cluster, "cluster", "", "the first members with their peer addresses: a=host:port,b=host:port,c=host:port")
	f.Int64Var(&p.cfg.History, "history", boot.DefaultHistory, "how many revisions stay readable")
	f.StringSliceVar(&p.cfg.Volatile, "volatile", []string{boot.DefaultVolatile}, "globs of files of which the history keeps only the newest revision, or none")
	f.IntVar(&p.cfg.MaxValue, "max-value", boot.DefaultMaxValue, "largest value of a file in bytes")
	f.Int64Var(&p.cfg.CheckpointBytes, "checkpoint-bytes", boot.DefaultCheckpointBytes, "bytes of log between checkpoints")
	f.DurationVar(&p.cfg.Heartbeat, "heartbeat", boot.DefaultHeartbeat, "time between a leader's heartbeats")
	f.DurationVar(&p.cfg.ElectionTimeout, "election-timeout", boot.DefaultElectionTimeout, "silence of the leader after which a follower calls an election")
	p.log.flags(cmd, "info")
	cmd.AddCommand(p.demoCommand(), p.versionCommand())
	cmd.CompletionOptions.HiddenDefaultCmd = true
	return cmd
}

// logOptions are a command's flags about its log.
type logOptions struct{ format, level string }

func (o *logOptions) flags(cmd *cobra.Command, level string) {
	f := cmd.Flags()
	f.StringVar(&o.format, "log-format", "text", "text or json")
	f.StringVar(&o.level, "log-level", level, "debug, info, warn or error")
}

func (o *logOptions) logger(to io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not debug, info, warn or error", o.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.format {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q is not text or json", o.format)
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown command or argument %q; see 'doozerd --help'", args[0])
	}
	return nil
}

// fromEnv sets the flags that the command line leaves out from DOOZERD_ ...
// variables; one that names no flag is an error, as it would be a flag.
func (p *program) fromEnv(c *cobra.Command) error {
	for _, kv := range p.env {
		key, value, _ := strings.Cut(kv, "=")
		name, ok := strings.CutPrefix(key, "DOOZERD_")
		if !ok {
			continue
		}
		flag := c.Root().Flags().Lookup(strings.ToLower(strings.ReplaceAll(name, "_", "-")))
		switch {
		case flag == nil:
			return fmt.Errorf("environment variable %s names no flag; see 'doozerd --help'", key)
		case c != c.Root() || flag.Changed:
			continue // a node's settings are no matter of version or demo
		}
		if err := c.Flags().Set(flag.Name, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", key, err)
		}
	}
	return nil
}

// serve runs one node until a signal or its own end.
func (p *program) serve() error {
	var err error
	if p.cfg.Logger, err = p.log.logger(p.stderr); err != nil {
		return err
	}
	p.cfg.Version = version()
	defer tuneGC(p.env)()
	n, err := boot.Start(p.cfg)
	if err != nil {
		return err
	}
	return p.until([]*boot.Node{n})
}

// until stops the nodes when a signal comes or one of them ends.
func (p *program) until(nodes []*boot.Node) error {
	ended := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { // ends with the process
			<-n.Done()
			ended <- n.Err()
		}()
	}
	var err error
	select {
	case <-p.signals:
	case err = <-ended:
	}
	return errors.Join(err, p.stop(nodes))
}

// stop ends a node, or all nodes of a demo, in good order unless a second
// signal comes.
func (p *program) stop(nodes []*boot.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if len(nodes) == 1 {
			nodes[0].Stop(ctx)
		} else {
			boot.StopAll(ctx, nodes)
		}
	}()
	select {
	case <-stopped:
		return nil
	case <-p.signals:
		return errors.New("stopped at once by a second signal")
	}
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		Run: func(*cobra.Command, []string) { fmt.Fprintln(p.stdout, "doozerd", version()) },
	}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
