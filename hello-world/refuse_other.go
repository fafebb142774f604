//go:build !linux

package main

import "net"

// refuseNew is left out: connections that wait to be accepted are reset in the end.
func refuseNew(net.Listener) error { return nil }

// admit has nothing to undo.
func admit(net.Conn) error { return nil }
