package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/doozer-store/doozer/client"
)

// echo is one process that answers doozer's client at once.
type echo struct{ doozer }

func (e *echo) name() string { return "echo" }
func (e *echo) settings() string {
	return "one process that answers doozer's Do stream at once: the floor"
}

func (e *echo) start(dir string, _ int) error {
	bin := filepath.Join(filepath.Dir(dir), "echo")
	if err := build(".", "./cmd/echo", bin); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	e.addrs = []string{hostPort(ports[0])}
	e.servers = []*process{{dir: dir, log: filepath.Join(dir, "echo.log"), argv: []string{bin, e.addrs[0]}}}
	if err := e.servers[0].start(); err != nil {
		return err
	}
	return until(time.Minute, "echo serves", func() (bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := client.Open(ctx, e.addrs[0])
		if err != nil {
			return false, err
		}
		return true, c.Close()
	})
}
