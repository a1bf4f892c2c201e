package rig

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/drill/cluster"
)

const (
	// clientLimit is how long a client waits for an answer, dialLimit for a connection,
	// which includes asking who is the master: go-redis keeps to a Sentinel that hangs as
	// long as dialling has no more time than reading.
	clientLimit = time.Second
	dialLimit   = 4 * time.Second
	// waitMs is how long WAIT waits for replicas; less than clientLimit.
	waitMs = 800
)

// writers are the clients of one trial: one that follows the master as the system
// says, and one that knows only the server that was the master at the beginning, and is
// on its host.
type writers struct {
	t       cluster.TB
	group   *Group
	key     string
	wait    int // replicas that WAIT waits for; 0: it is not asked
	journal *Journal
	pace    *pace
}

// run writes until ctx ends.
func (w *writers) run(ctx context.Context, master *Host) {
	var both sync.WaitGroup
	both.Go(func() { w.follow(ctx) })
	if w.wait == 0 {
		both.Go(func() { w.stick(ctx, master) })
	}
	both.Wait()
}

// follow writes through the system's client library.
func (w *writers) follow(ctx context.Context) {
	var mu sync.Mutex
	server := "" // where the client's one connection to Redis goes; guarded by mu
	client, err := w.group.Client(func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if name := at(w.group.Hosts, addr); name != "" && err == nil {
			mu.Lock()
			server = name
			mu.Unlock()
		}
		return nc, err
	})
	if err != nil {
		w.t.Errorf("client: %v", err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		write := Write{ID: w.journal.Next(), Sent: time.Now(), Waited: -1}
		err := w.one(ctx, client, &write)
		write.Done = time.Now()
		if err == nil {
			mu.Lock()
			write.Server = server
			mu.Unlock()
		} else {
			write.Err = err.Error()
		}
		w.journal.Add(write)
		w.pause(ctx, err)
	}
}

func (w *writers) one(ctx context.Context, client *redis.Client, write *Write) error {
	ctx, cancel := context.WithTimeout(ctx, 2*dialLimit)
	defer cancel()
	id := strconv.FormatInt(write.ID, 10)
	if w.wait == 0 {
		return client.SAdd(ctx, w.key, id).Err()
	}
	// One connection: WAIT speaks of what its own connection wrote.
	var add *redis.IntCmd
	var wait *redis.Cmd
	client.Pipelined(ctx, func(p redis.Pipeliner) error {
		add = p.SAdd(ctx, w.key, id)
		wait = p.Do(ctx, "WAIT", w.wait, waitMs)
		return nil
	}) // each command has its error
	if add.Err() != nil {
		return add.Err()
	}
	if n, err := wait.Int(); err == nil {
		write.Waited = n
	}
	return nil
}

// stick writes to one server whatever happens.
func (w *writers) stick(ctx context.Context, master *Host) {
	var c *Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for ctx.Err() == nil {
		write := Write{ID: w.journal.Next(), Sent: time.Now(), Stuck: true, Waited: -1}
		var err error
		if c == nil {
			var nc *Conn
			if nc, err = DialLimit(master.Redis.Addr, probeLimit); err == nil {
				c = nc
				context.AfterFunc(ctx, nc.Close)
			}
		}
		if err == nil {
			_, err = c.Do("SADD", w.key, strconv.FormatInt(write.ID, 10))
		}
		write.Done = time.Now()
		switch {
		case err == nil:
			write.Server = master.Name
		case !isReply(err) && c != nil:
			c.Close()
			c = nil
		}
		if err != nil {
			write.Err = err.Error()
		}
		w.journal.Add(write)
		w.pause(ctx, err)
	}
}

func (w *writers) pause(ctx context.Context, err error) {
	d := writeEvery
	if err != nil {
		d = retryEvery
	}
	w.pace.wait(ctx, d)
}
