// Command hello-app is a small web server: it answers every request with a
// greeting, its version and the name of the host that it runs on.
//
// Settings: PORT, the TCP port to listen on (default 8080); INSTANCE_NAME, the value of
// the header X-Served-By of each response, if it is set.
// hello-app -health checks a running hello-app on this host; the exit status is 0 if it
// answers.
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
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// version is set by -ldflags "-X main.version=…".
var version = "1.0.0"

const (
	defaultPort   = 8080
	healthTimeout = 2 * time.Second
	// A reasonable length of a header; names of hosts and pods are not longer.
	maxInstanceName = 253
	// The interval between polls of the number of connections, and the number of
	// consecutive polls without connections after which no client is expected any more.
	lookInterval = 5 * time.Millisecond
	quietLooks   = 10
)

// A drain has the maximum durations of the three steps in which connections are drained.
type drain struct {
	// leave: requests are still answered; each response closes its connection.
	leave time.Duration
	// lastCall: no new connections; those that wait to be accepted are still answered.
	lastCall time.Duration
	// finish: the requests in progress may finish.
	finish time.Duration
}

// Docker kills a container 10 s after SIGTERM: all steps together take less.
var defaultDrain = drain{leave: 3 * time.Second, lastCall: time.Second, finish: 4 * time.Second}

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stderr))
}

// run is main with its environment passed in; it returns the exit status.
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

	instance, err := parseInstanceName(getenv("INSTANCE_NAME"))
	if err != nil {
		logger.Print(err)
		return 1
	}

	// From here on, a signal starts the drain instead of killing the process.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		logger.Printf("cannot listen on port %d (set PORT to a free one): %v", port, err)
		return 1
	}
	if err := serve(ctx, listener, newHandler(instance), defaultDrain, logger); err != nil {
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

// parseInstanceName reads the value of INSTANCE_NAME, which must be valid in a header;
// empty means no name.
func parseInstanceName(value string) (string, error) {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if len(value) > maxInstanceName || strings.IndexFunc(value, unprintable) >= 0 ||
		strings.Trim(value, " ") != value {
		return "", fmt.Errorf(
			"INSTANCE_NAME must be at most %d printable ASCII characters, the first and the last no spaces, it is %q",
			maxInstanceName, value,
		)
	}
	return value, nil
}

// newHandler answers every path with the greeting and adds the instance's name, if any.
func newHandler(instance string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if instance != "" {
			w.Header().Set("X-Served-By", instance)
		}
		hostname, err := os.Hostname()
		if err != nil {
			http.Error(w, "cannot read the host's name: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		// The server ignores that a client has disconnected.
		_, _ = fmt.Fprintf(w, "Hello, world!\nVersion: %s\nHostname: %s\n", version, hostname)
	})
}

// serve answers on listener until ctx is done, and then drains the connections.
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
		ConnState: func(connection net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				connections.Add(1)
				if leaving.Load() {
					if err := admit(connection); err != nil {
						logger.Printf("cannot let a last connection in: %v", err)
					}
				}
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
	// Shutdown alone drops a request that arrives on a connection while it is being
	// closed, so responses close their connections first.
	leaving.Store(true)
	waitUntilQuiet(&connections, limit.leave)
	// Closing the listener resets connections that have not been accepted yet.
	if err := refuseNew(listener); err != nil {
		logger.Printf("cannot keep new connections away: %v", err)
	}
	waitUntilQuiet(&connections, limit.lastCall)
	bounded, cancel := context.WithTimeout(context.Background(), limit.finish)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		_ = server.Close()
		return fmt.Errorf("stopped with requests unfinished: %w", err)
	}
	logger.Print("stopped: every request was answered")
	return nil
}

// waitUntilQuiet returns when count has been 0 for a number of polls, or after limit. One
// poll is not enough: clients reconnect, and the kernel may hold connections that wait.
func waitUntilQuiet(count *atomic.Int64, limit time.Duration) {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for quiet := 0; quiet < quietLooks; {
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
		if count.Load() > 0 {
			quiet = 0
		} else {
			quiet++
		}
	}
}

// checkHealth requests url once; nil means that it answered 200 within timeout.
func checkHealth(url string, timeout time.Duration) error {
	// Ignore the proxy settings of the environment: the check is for this host.
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
