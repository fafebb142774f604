package main

import (
	"net"
	"syscall"
)

const (
	// From linux/in6.h; the package syscall lacks it.
	ipv6MinHopCount = 73
	// The minimum TTL or hop limit of accepted packets. As hardly any host sends with
	// 255, it blocks nearly all packets; a container may not set a packet filter.
	nobody = 255
)

// refuseNew blocks new connections; those that wait can still be accepted, whereas
// closing the listener would reset them. To a client this looks like packet loss: it
// retries, elsewhere or after the listener is closed, when the connection is refused.
func refuseNew(listener net.Listener) error {
	return setLeastTTL(listener, nobody)
}

// admit removes the limit from an accepted connection: a connection accepted after
// refuseNew inherits the listener's limit, and its client's packets are dropped.
func admit(connection net.Conn) error {
	return setLeastTTL(connection, 0)
}

func setLeastTTL(of any, least int) error {
	socket, ok := of.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		// An IPv6 socket receives IPv4 packets as well; an IPv4 socket has no hop limit.
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MINTTL, least)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, ipv6MinHopCount, least)
	})
	if err != nil {
		return err
	}
	return set
}
