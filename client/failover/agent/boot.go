package agent

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/doozer-store/doozer/client/failover"
)

// prepare checks and sets what a Redis process has to have before it takes part.
// What is wrong is a.problem; the process is looked at again when it is another.
func (a *Agent) prepare(ctx context.Context, v *failover.View) {
	a.problem = ""
	if err := a.settle(ctx, v); err != nil {
		a.log.Warn("Redis could not be prepared", "error", err)
		a.looked = a.looked.Add(-lookEvery)
		return
	}
	why, fatal := a.unfit(ctx, v)
	a.problem, a.own.Problem = why, why
	if why != "" {
		a.log.Error("this Redis can't take part", "why", why)
		if !fatal || a.prepared != "" {
			a.prepared = a.own.RunID
		}
		return
	}
	if a.prepared == "" {
		// The agent may be the one that was started again, not Redis.
		if n, ok := v.Node(a.cfg.Name); ok {
			a.synced = n.RunID
			a.own.Restarted = a.synced != a.own.RunID
		}
	}
	a.prepared = a.own.RunID
}

// settle sets what the agent relies on, until Redis is started again.
func (a *Agent) settle(ctx context.Context, v *failover.View) error {
	// A master whose group has no register yet goes on as it is.
	if v.Epoch != 0 && (a.gate == nil || !a.gate.IsOpen()) {
		if err := a.shutWith(ctx, v); err != nil {
			return err
		}
	}
	// The history ends when the backlog is let go.
	if err := a.redis.set(ctx, "repl-backlog-ttl", 0); err != nil {
		return err
	}
	// Redis's own five seconds are long for a replica that has nothing yet.
	if text, err := a.redis.get(ctx, "repl-diskless-sync-delay"); err == nil {
		if n, err := strconv.Atoi(text); err == nil && n > syncDelayS {
			if err := a.redis.set(ctx, "repl-diskless-sync-delay", syncDelayS); err != nil {
				return err
			}
		}
	}
	if a.cfg.Password != "" {
		if err := a.redis.set(ctx, "masterauth", a.cfg.Password, "masteruser", a.cfg.User); err != nil {
			return err
		}
	}
	if a.cfg.TLS != nil {
		return a.redis.set(ctx, "tls-replication", "yes")
	}
	return nil
}

// unfit says why the Redis must not take part, and whether that can't have been
// otherwise since its start.
func (a *Agent) unfit(ctx context.Context, v *failover.View) (why string, fatal bool) {
	if ro, err := a.redis.get(ctx, "replica-read-only"); err == nil && ro == "no" {
		return "replica-read-only is no: a replica would take writes; set it to yes, in the configuration too", true
	}
	file := a.ownInfo["config_file"]
	if file == "" {
		r := &v.Register
		if a.own.Master && !(r.Node == a.cfg.Name && r.RunID == a.own.RunID) && !v.Knows(&a.own) {
			return "it runs without a configuration file, as a master: start it with --replicaof '127.0.0.1 0'", true
		}
		return "", false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		a.log.Warn("the configuration of Redis can't be read: make sure that it has 'replicaof 127.0.0.1 0'", "error", err)
		return "", false
	}
	if source := replicaOfLine(string(text)); source != fenceHost+" "+fencePort {
		has := "has no replicaof"
		if source != "" {
			has = "has 'replicaof " + source + "'"
		}
		return fmt.Sprintf("%s %s: after a restart Redis would take writes, or follow who is no master; make it 'replicaof %s %s' (no restart is needed)", file, has, fenceHost, fencePort), true
	}
	return "", false
}

// replicaOfLine is what the last replicaof of a configuration says.
func replicaOfLine(text string) (source string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 3 && (strings.EqualFold(f[0], "replicaof") || strings.EqualFold(f[0], "slaveof")) {
			source = strings.Trim(f[1], `"'`) + " " + strings.Trim(f[2], `"'`)
		}
	}
	if strings.EqualFold(source, "no one") {
		source = ""
	}
	return source
}

// refusal is the error with which an agent ends whose Redis never was fit.
func (a *Agent) refusal() error {
	return fmt.Errorf("%w: %s", ErrUnfenced, a.problem)
}
