package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

const drain = 10 * time.Second // for requests under way at the end

// Run serves until ctx ends or a part fails, then ends in order: leave Consul,
// so that no new caller comes; finish what is under way, at most 10 s; end the
// background work. Close then closes connections and flushes spans.
func (a *App) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, failed := errgroup.WithContext(work)
	for _, t := range a.background {
		g.Go(func() error { return named(t.name, t.run(work)) })
	}
	g.Go(func() error { return named("admin server", a.adminServer.Run(work)) })
	serve, finish := a.server()
	a.Health.Report("server", "answers on "+a.advertised, nil)
	g.Go(func() error { return named("server", serve()) })

	r, err := a.registrar()
	if err != nil {
		return err
	}
	registered, leave := context.WithCancel(work)
	g.Go(func() error { return named("registration", r.Run(registered)) })
	a.Logger.Info("serving", "rpc", a.advertised, "admin", a.adminServer.Addr(), "version", a.Config.Version)

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	a.Logger.Info("leaving")
	leaving, cancel := context.WithTimeout(work, 3*time.Second)
	err = r.Drain(leaving)
	cancel()
	leave()
	if err != nil {
		a.Logger.Warn("left without telling Consul", "error", err)
	}
	finish()
	stop()
	return g.Wait()
}

// server returns what serves the rpc address until finish is called, which
// returns when the requests under way have ended or were cut.
func (a *App) server() (serve func() error, finish func()) {
	if a.public == nil {
		return func() error { return a.rpc.Serve(a.listener) }, func() {
			cut := time.AfterFunc(drain, a.rpc.Stop)
			defer cut.Stop()
			a.rpc.GracefulStop()
		}
	}
	s := &http.Server{
		Handler:           a.public,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	serve = func() error {
		if err := s.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	return serve, func() {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			_ = s.Close()
		}
	}
}

func (a *App) registration() registry.Registration {
	return registry.Registration{
		Service: a.Config.Service,
		ID:      a.Config.ID,
		Addr:    a.advertised,
		Version: a.Config.Version,
		Zone:    a.Config.Zone,
		Admin:   "http://" + a.adminHost,
		TTL:     a.Config.TTL,
	}
}

func named(part string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}
