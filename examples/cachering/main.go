// Command cachering is a cache over any number of servers, which are the nodes of
// a doozer ring.
//
//	doozer ring cache new
//	cachering serve n1 127.0.0.1:9001 &
//	cachering serve n2 127.0.0.1:9002 &
//	cachering put user:42 ann
//	cachering get user:42
//
// A server enters itself into the ring when it starts. If it was there before, on
// whatever host, it has its keys again. DOOZER_URI names the store.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/ring"
)

// name is the ring's.
const name = "cache"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cachering:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := client.Open(ctx, os.Getenv("DOOZER_URI"))
	if err != nil {
		return err
	}
	defer c.Close()
	if len(args) == 3 && args[0] == "serve" {
		return serve(ctx, c, args[1], args[2])
	}
	live, err := ring.Open(ctx, c, name, ring.Config{})
	if err != nil {
		return err
	}
	defer live.Close()
	switch {
	case len(args) == 2 && args[0] == "get":
		value, err := get(ctx, live.Ring(), args[1])
		if err != nil {
			return err
		}
		fmt.Println(value)
		return nil
	case len(args) == 3 && args[0] == "put":
		return put(ctx, live.Ring(), args[1], args[2])
	}
	return errors.New("usage: serve NODE HOST:PORT | put KEY VALUE | get KEY")
}

// enter makes node a node at addr, or moves it there. It joins as one whose keys
// are still elsewhere, unless it is the first.
func enter(node, addr string) func(*ring.File) error {
	return func(f *ring.File) error {
		switch _, there := f.Nodes[node]; {
		case there:
			return f.SetValue(node, addr, "")
		case len(f.Nodes) == 0:
			return f.Add(node, ring.Spec{Addr: addr})
		}
		return f.Add(node, ring.Spec{Addr: addr, State: ring.Joining})
	}
}

// serve is one cache server.
func serve(ctx context.Context, c *client.Client, node, addr string) error {
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if _, err := ring.Edit(ctx, c, name, enter(node, lis.Addr().String()), client.Message("started")); err != nil {
		return errors.Join(err, lis.Close())
	}
	srv := &http.Server{Handler: &cache{entries: make(map[string]string)}}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// cache answers GET and PUT of /KEY.
type cache struct {
	mu      sync.Mutex // guards entries
	entries map[string]string
}

func (s *cache) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.Method == http.MethodPut {
		value, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 1<<20))
		if err == nil {
			s.entries[req.URL.Path] = string(value)
		}
		return
	}
	value, ok := s.entries[req.URL.Path]
	if !ok {
		http.NotFound(w, req)
		return
	}
	io.WriteString(w, value)
}

var errMiss = errors.New("no such entry")

// get reads from the owner and, while keys are on the move, from who had it
// before. What is found there is put where it belongs.
func get(ctx context.Context, r *ring.Ring, key string) (string, error) {
	owner, other := r.Both(key)
	if owner == nil {
		return "", errors.New("the ring has no nodes")
	}
	value, err := ask(ctx, http.MethodGet, owner, key, "")
	if errors.Is(err, errMiss) && other != nil {
		if value, err = ask(ctx, http.MethodGet, other, key, ""); err == nil {
			_, err = ask(ctx, http.MethodPut, owner, key, value)
		}
	}
	return value, err
}

// put writes to both.
func put(ctx context.Context, r *ring.Ring, key, value string) error {
	owner, other := r.Both(key)
	if owner == nil {
		return errors.New("the ring has no nodes")
	}
	_, err := ask(ctx, http.MethodPut, owner, key, value)
	if err == nil && other != nil {
		_, err = ask(ctx, http.MethodPut, other, key, value)
	}
	return err
}

func ask(ctx context.Context, method string, n *ring.Node, key, value string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.Addr+"/"+url.PathEscape(key), strings.NewReader(value))
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("node %s: %w", n.Name, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return "", errMiss
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return string(body), err
}
