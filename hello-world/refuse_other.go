//go:build !linux

package main

import "net"

// refuseNew does nothing: connections that wait to be accepted are reset in the end.
func refuseNew(net.Listener) error { return nil }

// admit does nothing, as refuseNew sets no limit.
func admit(net.Conn) error { return nil }
