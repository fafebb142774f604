package main

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestAdmit simulates a connection opened before refuseNew and completed after it: it
// inherits the listener's limit, and its client's packets are dropped until admit.
func TestAdmit(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if err := setLeastTTL(accepted, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	_ = accepted.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := accepted.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("nothing is dropped: %v", err)
	}
	if err := admit(accepted); err != nil {
		t.Fatal(err)
	}
	// The client retransmits it.
	_ = accepted.SetReadDeadline(time.Now().Add(patience))
	if _, err := accepted.Read(got); err != nil || got[0] != 'x' {
		t.Fatalf("what was sent is lost: %q, %v", got, err)
	}
}
