package report

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Times within which a client has to come to the point.
const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	closeTime  = 2 * time.Second
)

// Handler serves
//
//	/metrics  Prometheus metrics
//	/healthz  200 if every mirror is healthy, else 503 and what is wrong
//	/readyz   200 once every target has had its first pass, else 503 and who has not
func Handler(status func() Status) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(func(e *exposition) {
		now := status()
		now.write(e)
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, status(), func(m *Mirror) string { return m.Trouble() })
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, status(), func(m *Mirror) string {
			if m.Ready() {
				return ""
			}
			return "mirror " + m.Name + " has not brought every target in step yet"
		})
	})
	return mux
}

// answer lists what is wrong.
func answer(w http.ResponseWriter, s Status, wrong func(*Mirror) string) {
	var all []string
	for i := range s.Mirrors {
		if text := wrong(&s.Mirrors[i]); text != "" {
			all = append(all, text)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(all) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, strings.Join(all, "\n"))
		return
	}
	fmt.Fprintln(w, "ok")
}

// Server serves Handler on an address.
type Server struct {
	http *http.Server
	addr net.Addr
	done chan struct{}
	err  error
}

// Serve listens on address until Close.
func Serve(address string, status func() Status) (*Server, error) {
	return serve(address, Handler(status))
}

func serve(address string, handler http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	s := &Server{addr: l.Addr(), done: make(chan struct{}),
		http: &http.Server{Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime}}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the server.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
	return s.err
}
