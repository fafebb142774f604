package main

import (
	"context"
	"io"
	"net"
	"testing"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// dial connects to a forwarder with that target.
func dial(t *testing.T, target string) *net.TCPConn {
	t.Helper()
	listener := listen(t)
	go func() { _ = forward(context.Background(), listener, target) }()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection.(*net.TCPConn)
}

func TestForwarderPassesBothWaysAndTheEndOfTheStream(t *testing.T) {
	server := listen(t)
	go func() {
		connection, err := server.Accept()
		if err != nil {
			return
		}
		// Answers only when the question has ended.
		question, _ := io.ReadAll(connection)
		_, _ = connection.Write(append([]byte("you said "), question...))
		_ = connection.Close()
	}()
	client := dial(t, server.Addr().String())
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client)
	if err != nil || string(answer) != "you said hello" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestForwarderHangsUpWhenTheTargetIsGone(t *testing.T) {
	server := listen(t)
	address := server.Addr().String()
	_ = server.Close()
	if answer, err := io.ReadAll(dial(t, address)); len(answer) > 0 {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestForwarderEndsWithItsListener(t *testing.T) {
	listener := listen(t)
	ended := make(chan error)
	go func() { ended <- forward(context.Background(), listener, "127.0.0.1:1") }()
	_ = listener.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
