package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// How long a test waits for an expected event before it fails.
const patience = 20 * time.Second

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func greeting(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("Hello, world!\nVersion: %s\nHostname: %s\n", version, hostname(t))
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// freePort returns a port that is free on all addresses.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestHandler(t *testing.T) {
	cases := []struct{ method, target, body string }{
		{http.MethodGet, "/", ""},
		{http.MethodGet, "/any/path?with=query", ""},
		{http.MethodHead, "/", ""},
		{http.MethodPost, "/", "a body"},
	}
	for _, c := range cases {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			server := httptest.NewServer(newHandler(""))
			defer server.Close()
			request, err := http.NewRequest(c.method, server.URL+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			want := greeting(t)
			if c.method == http.MethodHead {
				want = ""
			}
			if response.StatusCode != http.StatusOK || string(body) != want {
				t.Errorf("answered %d %q, want 200 %q", response.StatusCode, body, want)
			}
			if got := response.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type is %q", got)
			}
		})
	}
}

func TestHandlerNamesTheInstance(t *testing.T) {
	cases := []struct {
		instance string
		want     []string
	}{
		{"hello-web-5d9-x2x4k", []string{"hello-web-5d9-x2x4k"}},
		{"", nil},
	}
	for _, c := range cases {
		t.Run("INSTANCE_NAME="+c.instance, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete} {
				recorder := httptest.NewRecorder()
				newHandler(c.instance).ServeHTTP(recorder, httptest.NewRequest(method, "/", nil))
				if got := recorder.Result().Header.Values("X-Served-By"); !reflect.DeepEqual(got, c.want) {
					t.Errorf("%s: X-Served-By is %q, want %q", method, got, c.want)
				}
			}
		})
	}
}

func TestParseInstanceName(t *testing.T) {
	cases := []struct {
		value string
		valid bool
	}{
		{"", true},
		{"x", true},
		{"hello-web-5d9-x2x4k", true},
		{"a b~", true},
		{strings.Repeat("x", 253), true},
		{strings.Repeat("x", 254), false},
		{" ", false},
		{" x", false},
		{"x ", false},
		{"x\n", false},
		{"a\r\nX-Other: b", false},
		{"a\tb", false},
		{"é", false},
		{"\xff", false},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("INSTANCE_NAME=%.9q", c.value), func(t *testing.T) {
			name, err := parseInstanceName(c.value)
			if (err == nil) != c.valid || (c.valid && name != c.value) {
				t.Errorf("got %q, %v", name, err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", c.value)) {
				t.Errorf("the error does not name the value: %v", err)
			}
		})
	}
}

func TestDefaultVersion(t *testing.T) {
	if version != "1.0.0" {
		t.Errorf("version is %q", version)
	}
}

func TestParsePort(t *testing.T) {
	cases := []struct {
		value string
		port  int
		valid bool
	}{
		{"", 8080, true},
		{"1", 1, true},
		{"9000", 9000, true},
		{"65535", 65535, true},
		{"0", 0, false},
		{"65536", 0, false},
		{"-1", 0, false},
		{"+80", 0, false},
		{"80.0", 0, false},
		{"0x50", 0, false},
		{" 80", 0, false},
		{"http", 0, false},
	}
	for _, c := range cases {
		t.Run("PORT="+c.value, func(t *testing.T) {
			port, err := parsePort(c.value)
			if (err == nil) != c.valid || port != c.port {
				t.Errorf("got %d, %v", port, err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", c.value)) {
				t.Errorf("the error does not name the value: %v", err)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cases := []struct {
		name   string
		args   []string
		port   string
		status int
		says   string
	}{
		{"wrong port", nil, "web", 1, `PORT must be a number from 1 to 65535, it is "web"`},
		{"wrong port, health check", []string{"-health"}, "web", 1, "PORT must be"},
		{"port in use", nil, fmt.Sprint(taken.Addr().(*net.TCPAddr).Port), 1, "set PORT to a free one"},
		{"unknown flag", []string{"-verbose"}, "", 2, "-verbose"},
		{"argument", []string{"now"}, "", 2, `got "now"`},
		{"help", []string{"-help"}, "", 0, "ask a running hello-app"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			status := run(c.args, environment(map[string]string{"PORT": c.port}), &stderr)
			if status != c.status || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("status %d, said %q; want %d, %q", status, stderr.String(), c.status, c.says)
			}
		})
	}
}

func TestRunRefusesANameThatIsNoHeader(t *testing.T) {
	var stderr bytes.Buffer
	status := run(nil, environment(map[string]string{"INSTANCE_NAME": "a\r\nb"}), &stderr)
	if want := "INSTANCE_NAME must be at most 253 printable ASCII"; status != 1 ||
		!strings.Contains(stderr.String(), want) {
		t.Errorf("status %d, said %q; want 1, %q", status, stderr.String(), want)
	}
}

func TestHealth(t *testing.T) {
	// A proxy must never be used for this host.
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	hang := make(chan struct{})
	cases := []struct {
		name    string
		handler http.Handler
		says    string
	}{
		{"answers", newHandler(""), ""},
		{"answers 503", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "warming up", http.StatusServiceUnavailable)
		}), "503 Service Unavailable"},
		{"does not answer", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }), "deadline"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			timeout := patience
			if c.says == "deadline" {
				timeout = 50 * time.Millisecond
			}
			err := checkHealth(server.URL, timeout)
			if c.says == "" && err != nil {
				t.Error(err)
			}
			if c.says != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.says))) {
				t.Errorf("said %v, want %q", err, c.says)
			}
			if c.says == "deadline" {
				close(hang)
			}
			server.Close()
		})
	}
	t.Run("nothing listens", func(t *testing.T) {
		var stderr bytes.Buffer
		port := fmt.Sprint(freePort(t))
		status := run([]string{"-health"}, environment(map[string]string{"PORT": port}), &stderr)
		if status != 1 || !strings.Contains(stderr.String(), "refused") {
			t.Errorf("status %d, said %q", status, stderr.String())
		}
	})
}

// slow answers once it is released.
type slow struct{ started, release chan struct{} }

func (s slow) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	close(s.started)
	<-s.release
	_, _ = io.WriteString(w, "finished")
}

func TestServeFinishesTheRequestUnderWay(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	listener := loopback(t)
	handler := slow{make(chan struct{}), make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, listener, handler, drain{time.Millisecond, time.Millisecond, patience}, log.New(io.Discard, "", 0))
	}()
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-handler.started
	stop()
	waitUntilClosed(t, listener.Addr().String())
	select {
	case err := <-ended:
		t.Fatalf("ended before its request did: %v", err)
	default:
	}
	close(handler.release)
	if got := <-answer; got != "finished" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A client with a keep-alive connection is answered while the server drains, and is
// told that the connection closes: none of its requests is lost.
func TestServeTakesLeaveOfOpenConnections(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	listener := loopback(t)
	logged, logger := io.Pipe()
	lines := bufio.NewScanner(logged)
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, listener, newHandler(""), drain{patience, patience, patience}, log.New(logger, "", 0))
		logger.Close()
	}()
	lines.Scan()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	ask := func() *http.Response {
		if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		return response
	}
	if ask().Close {
		t.Error("the connection was closed before anybody asked to stop")
	}
	stop()
	lines.Scan()
	go func() { _, _ = io.Copy(io.Discard, logged) }()
	for closed := false; !closed; {
		// The log line is written just before the drain begins.
		closed = ask().Close
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// client sends requests, on one connection as long as it is kept alive, until the
// connection is refused. It counts them and sends each unanswered request to lost.
func client(address string, answered *atomic.Int64, lost chan<- error) {
	for {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		reader := bufio.NewReader(connection)
		for kept := true; kept; {
			_, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n")
			if err != nil {
				lost <- err
				break
			}
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				lost <- err
				break
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
				lost <- fmt.Errorf("answered %d %q, %w", response.StatusCode, body, err)
			} else {
				answered.Add(1)
			}
			kept = !response.Close
		}
		connection.Close()
	}
}

// No request stays unanswered when the server stops under load: neither on open
// connections nor on those that wait to be accepted.
func TestServeLosesNothingUnderLoad(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	listener := loopback(t)
	ended := make(chan error, 1)
	go func() {
		limit := drain{200 * time.Millisecond, patience, patience}
		ended <- serve(ctx, listener, newHandler(""), limit, log.New(io.Discard, "", 0))
	}()
	lost := make(chan error, 10_000)
	var answered [32]atomic.Int64
	var clients sync.WaitGroup
	for i := range answered {
		clients.Add(1)
		go func(count *atomic.Int64) {
			defer clients.Done()
			client(listener.Addr().String(), count, lost)
		}(&answered[i])
	}
	for i := range answered {
		for answered[i].Load() < 20 {
			time.Sleep(time.Millisecond)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	clients.Wait()
	close(lost)
	for err := range lost {
		t.Errorf("lost: %v", err)
	}
}

func TestServeDoesNotWaitForever(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	listener := loopback(t)
	handler := slow{make(chan struct{}), make(chan struct{})}
	defer close(handler.release)
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, listener, handler, drain{time.Millisecond, time.Millisecond, time.Millisecond}, log.New(io.Discard, "", 0))
	}()
	go func() {
		if response, err := http.Get("http://" + listener.Addr().String()); err == nil {
			response.Body.Close()
		}
	}()
	<-handler.started
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "unfinished") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("still waiting for a request that never ends")
	}
}

func TestServeTellsWhenItEndsByItself(t *testing.T) {
	listener := loopback(t)
	listener.Close()
	err := serve(context.Background(), listener, newHandler(""), defaultDrain, log.New(io.Discard, "", 0))
	if err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("got %v", err)
	}
}

// waitUntilClosed returns once nothing listens on address.
func waitUntilClosed(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		connection, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			connection.Close()
		}
	}
	t.Fatalf("%s still listens", address)
}

// build makes the binary as the Dockerfile does and returns its path.
func build(t *testing.T, version string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hello-app")
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", binary, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return binary
}

// TestBinary starts the built program, sends requests, and sends SIGTERM while a
// request is half sent: that request must still be answered.
func TestBinary(t *testing.T) {
	binary := build(t, "9.8.7")
	port := fmt.Sprint(freePort(t))
	address := "127.0.0.1:" + port
	command := exec.Command(binary)
	command.Env = []string{"PORT=" + port}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	defer func() { _ = command.Process.Kill() }()

	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "hello-app 9.8.7 listens on") {
		t.Fatalf("started with %q", lines.Text())
	}
	health := exec.Command(binary, "-health")
	health.Env = []string{"PORT=" + port}
	if output, err := health.CombinedOutput(); err != nil {
		t.Errorf("health check: %v: %s", err, output)
	}

	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: hello\r\n"); err != nil {
		t.Fatal(err)
	}
	// Connections are accepted in order: once a later one is answered, the server
	// has also accepted the one with the half request.
	response, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()

	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "asked to stop") {
		t.Fatalf("on SIGTERM it said %q", lines.Text())
	}
	if _, err := io.WriteString(connection, "\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("the request under way was dropped: %v", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Hello, world!\nVersion: 9.8.7\nHostname: %s\n", hostname(t))
	if string(body) != want {
		t.Errorf("answered %q, want %q", body, want)
	}
	waitUntilClosed(t, address)
	if !lines.Scan() || !strings.Contains(lines.Text(), "every request was answered") {
		t.Errorf("stopped with %q", lines.Text())
	}
	if err := command.Wait(); err != nil {
		t.Errorf("exit status: %v", err)
	}
}
