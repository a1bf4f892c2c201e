package main

import (
	"log/slog"

	"github.com/doozer-store/doozer/client/failover/agent"
	"github.com/doozer-store/doozer/client/failover/sentinel"
)

// serve answers on the agent's ports until close.
func (p *agentPorts) serve(a *agent.Agent, log *slog.Logger) error {
	if p.sentinel != nil {
		s, err := sentinel.New(sentinel.Config{Source: a, Self: a.Name(), Logger: log})
		if err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() { // close ends and awaits it
			defer close(ended)
			s.Serve(p.sentinel)
		}()
		p.closers = append(p.closers, func() error {
			err := s.Close()
			<-ended
			return err
		})
	}
	return nil
}
