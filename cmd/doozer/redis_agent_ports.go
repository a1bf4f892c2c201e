package main

import (
	"log/slog"
	"net/http"

	"github.com/doozer-store/doozer/client/failover/agent"
	"github.com/doozer-store/doozer/client/failover/sentinel"
	"github.com/doozer-store/doozer/client/failover/web"
)

// serve answers on the agent's ports until close.
func (p *agentPorts) serve(a *agent.Agent, log *slog.Logger) error {
	if p.sentinel != nil {
		s, err := sentinel.New(sentinel.Config{Source: a, Self: a.Name(), Logger: log})
		if err != nil {
			return err
		}
		p.run(func() error { return s.Serve(p.sentinel) }, s.Close)
	}
	if p.web != nil {
		s := web.NewServer(web.Config{Source: a, Self: a.Name(), Lag: a.Lag, Logger: log})
		mux := http.NewServeMux()
		mux.Handle("/", s.Handler)
		mux.Handle(agent.PromisePath, a.Promise())
		s.Handler = mux
		p.run(func() error { return s.Serve(p.web) }, s.Close)
	}
	return nil
}

// run serves until close, which waits for its end.
func (p *agentPorts) run(serve, stop func() error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serve()
	}()
	p.closers = append(p.closers, func() error {
		err := stop()
		<-ended
		return err
	})
}
