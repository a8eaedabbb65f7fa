package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// off is the address that switches the health or the metrics endpoint off.
const off = "0"

// drain is the most time that open requests get to end, once a server is to stop.
const drain = 10 * time.Second

// listen takes a port. The error names the flag to change.
func listen(ctx context.Context, address, flag string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is in use: stop what uses it, or choose another with --%s", address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("no right to listen on %s: choose a port above 1023 with --%s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on --%s %s: %w", flag, address, err)
	}
	return l, nil
}

// serve answers HTTP on the listener until ctx ends, with TLS if there is a configuration for it. Requests that are open then
// are answered.
func serve(ctx context.Context, l net.Listener, handler http.Handler, config *tls.Config, log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 90 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() {
		if config != nil {
			ended <- server.ServeTLS(l, "", "")
		} else {
			ended <- server.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(closing)
	<-ended
	return err
}

// split is the host and the port of an address to listen on.
func split(address, flag string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", text)
	}
	if err != nil || port == 0 {
		return "", 0, fmt.Errorf("--%s %q is no address with a port, as in :9443 or 127.0.0.1:9443", flag, address)
	}
	return host, port, nil
}
