package main

import (
	"net"
	"syscall"
)

const (
	// Of linux/in6.h; the package syscall lacks it.
	ipv6MinHopCount = 73
	// The least TTL or hop limit that a packet must have. As nearly nobody sends with
	// 255, it keeps nearly everybody out; a packet filter is not for containers to set.
	nobody = 255
)

// refuseNew lets no new connection begin; those that wait can still be accepted, which
// closing the listener would reset. To a client it looks like a lost packet: it tries
// again, elsewhere or after the listener is closed, and is refused.
func refuseNew(listener net.Listener) error {
	return setLeastTTL(listener, nobody)
}

// admit lets the packets of an accepted connection in: what was accepted after refuseNew
// has the listener's own limit, and its client waits for answers to what is dropped.
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
		// A socket of IPv6 takes IPv4's packets as well; one of IPv4 has no hop limit.
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MINTTL, least)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, ipv6MinHopCount, least)
	})
	if err != nil {
		return err
	}
	return set
}
