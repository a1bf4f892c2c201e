package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// start makes pages with the given probes. Tests ask the handler itself, in a
// bubble: a probe has a second, which is nothing on a busy machine.
func start(t *testing.T, ready, live func(context.Context) error) http.Handler {
	t.Helper()
	r := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "doozer_test_total", Help: "."})
	r.MustRegister(c)
	s, err := New(Config{Name: "<a>", Ready: ready, Live: live, Metrics: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Handler()
}

func fine(context.Context) error { return nil }

// get returns the status and body of a page.
func get(t *testing.T, h http.Handler, path string) (int, string) { return ask(t, h, "GET", path) }

func ask(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w.Code, w.Body.String()
}

func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, fine, fine)
		for path, want := range map[string]string{
			"/":                    "/readyz",
			"/metrics":             "doozer_test_total 0",
			"/livez":               "ok",
			"/readyz":              "ok",
			"/debug/pprof/":        "goroutine",
			"/debug/pprof/cmdline": "test",
		} {
			if code, body := get(t, h, path); code != 200 || !strings.Contains(body, want) {
				t.Errorf("%s: %d, %.200s", path, code, body)
			}
		}
		if code, _ := get(t, h, "/other"); code != 404 {
			t.Errorf("an unknown page: %d", code)
		}
		if _, body := get(t, h, "/"); strings.Contains(body, "<a>") {
			t.Error("the name is not escaped")
		}
		for _, p := range pages() {
			if code, _ := get(t, h, p.Path); code != 200 {
				t.Errorf("the index lists %s: %d", p.Path, code)
			}
		}
		if code, _ := ask(t, h, "POST", "/readyz"); code != 405 {
			t.Errorf("a post: %d", code)
		}
	})
}

func TestProbesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, func(context.Context) error { return errors.New("no majority") }, fine)
		if code, body := get(t, h, "/readyz"); code != 503 || !strings.Contains(body, "no majority") {
			t.Errorf("%d, %s", code, body)
		}
		if code, _ := get(t, h, "/livez"); code != 200 {
			t.Errorf("livez: %d", code)
		}
	})
}

// A probe that hangs is answered when its time is over.
func TestProbeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, fine)
		begun := time.Now()
		if code, body := get(t, h, "/readyz"); code != 503 || body == "" || time.Since(begun) != readyTimeout {
			t.Errorf("%d, %s, after %v", code, body, time.Since(begun))
		}
	})
}

// More probes than there are places are turned away at once.
func TestTooManyProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, release := make(chan struct{}), make(chan struct{})
		r := prometheus.NewRegistry()
		s, err := New(Config{Live: fine, Metrics: r, Ready: func(context.Context) error {
			begun <- struct{}{}
			<-release
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		probe := func(ctx context.Context) int {
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/readyz", nil))
			return w.Code
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range maxProbes {
			go probe(ctx)
			<-begun
		}
		if code := probe(ctx); code != 503 {
			t.Errorf("one too many: %d", code)
		}
		cancel()
		close(release)
		s.Close() // waits for the probes
		go func() { <-begun }()
		if code := probe(t.Context()); code != 200 {
			t.Errorf("afterwards: %d", code)
		}
	})
}

func TestServeAndClose(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("pages of nothing")
	}
	s, addr := serve(t)
	r, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || r.StatusCode != 200 || !strings.Contains(string(b), "/livez") {
		t.Errorf("index: %s, %s, %v", r.Status, b, err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for name, d := range map[string]int64{
		"header": int64(s.http.ReadHeaderTimeout), "read": int64(s.http.ReadTimeout),
		"write": int64(s.http.WriteTimeout), "idle": int64(s.http.IdleTimeout), "bytes": int64(s.http.MaxHeaderBytes),
	} {
		if d == 0 {
			t.Errorf("no limit of %s", name)
		}
	}
}
