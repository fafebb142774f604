// Command hello-app is a small web server: it answers every request with a
// greeting, its version and the name of the host that it runs on.
//
// Settings: PORT, the TCP port to listen on (default 8080).
// hello-app -health asks a running hello-app on this host whether it answers:
// exit status 0 if it does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// version is set by -ldflags "-X main.version=…".
var version = "1.0.0"

const (
	defaultPort   = 8080
	healthTimeout = 2 * time.Second
)

// A drain is how long the server takes leave of its clients at most, in two steps.
type drain struct {
	// leave: it still answers, and ends each connection with its answer.
	leave time.Duration
	// finish: it takes nothing new; the requests under way may finish.
	finish time.Duration
}

// Docker kills a container 10 s after SIGTERM: both steps fit.
var defaultDrain = drain{leave: 3 * time.Second, finish: 5 * time.Second}

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stderr))
}

// run is main with its surroundings passed in; it returns the exit status.
func run(args []string, getenv func(string) string, stderr io.Writer) int {
	logger := log.New(stderr, "", log.LstdFlags|log.LUTC)
	flags := flag.NewFlagSet("hello-app", flag.ContinueOnError)
	flags.SetOutput(stderr)
	health := flags.Bool("health", false, "ask a running hello-app whether it answers, and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "hello-app takes no argument, got %q\n", flags.Arg(0))
		return 2
	}
	port, err := parsePort(getenv("PORT"))
	if err != nil {
		logger.Print(err)
		return 1
	}
	if *health {
		if err := checkHealth(fmt.Sprintf("http://127.0.0.1:%d/", port), healthTimeout); err != nil {
			logger.Print(err)
			return 1
		}
		return 0
	}

	// From here on a signal drains instead of killing.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		logger.Printf("cannot listen on port %d (set PORT to a free one): %v", port, err)
		return 1
	}
	if err := serve(ctx, listener, newHandler(), defaultDrain, logger); err != nil {
		logger.Print(err)
		return 1
	}
	return 0
}

// parsePort reads the value of PORT; empty means the default.
func parsePort(value string) (int, error) {
	if value == "" {
		return defaultPort, nil
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("PORT must be a number from 1 to 65535, it is %q", value)
	}
	return int(port), nil
}

// newHandler answers every path with the greeting.
func newHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hostname, err := os.Hostname()
		if err != nil {
			http.Error(w, "cannot read the host's name: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		// A client that has gone away is no concern of the server.
		_, _ = fmt.Fprintf(w, "Hello, world!\nVersion: %s\nHostname: %s\n", version, hostname)
	})
}

// serve answers on listener until ctx ends, and then drains.
func serve(
	ctx context.Context, listener net.Listener, handler http.Handler, limit drain, logger *log.Logger,
) error {
	var leaving atomic.Bool
	var connections atomic.Int64
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if leaving.Load() {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				connections.Add(1)
			case http.StateClosed:
				connections.Add(-1)
			}
		},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       60 * time.Second,
		ErrorLog:          logger,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	logger.Printf("hello-app %s listens on %s", version, listener.Addr())

	select {
	case err := <-failed:
		return fmt.Errorf("the server ended by itself: %w", err)
	case <-ctx.Done():
	}

	logger.Print("asked to stop: finishing the requests under way")
	// Shutdown alone drops a request that arrives on an open connection while it
	// closes it, so the clients are first told to go.
	leaving.Store(true)
	waitUntilZero(&connections, limit.leave)
	bounded, cancel := context.WithTimeout(context.Background(), limit.finish)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		_ = server.Close()
		return fmt.Errorf("stopped with requests unfinished after %s: %w", limit.leave+limit.finish, err)
	}
	logger.Print("stopped: every request was answered")
	return nil
}

// waitUntilZero returns when count is 0, or after limit.
func waitUntilZero(count *atomic.Int64, limit time.Duration) {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for count.Load() > 0 {
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// checkHealth asks url once; nil means that it answered 200 within timeout.
func checkHealth(url string, timeout time.Duration) error {
	// No proxy of the environment: the question is about this host.
	client := http.Client{Timeout: timeout, Transport: &http.Transport{}}
	response, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s answered %s", url, response.Status)
	}
	return nil
}
