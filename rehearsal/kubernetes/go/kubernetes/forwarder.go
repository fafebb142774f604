package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// newForwarderCommand gives the API server a second address: it listens on a loopback address
// alone, which pods cannot reach.
func newForwarderCommand() *cobra.Command {
	var listen, target string
	command := &cobra.Command{
		Use:          "tcp-forwarder",
		Short:        "Passes the connections to one address on to another",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			return forward(command.Context(), listener, target)
		},
	}
	command.Flags().StringVar(&listen, "listen", "", "the address and port to listen on")
	command.Flags().StringVar(&target, "target", "", "the address and port to pass on to")
	return command
}

// forward serves until the listener is closed.
func forward(ctx context.Context, listener net.Listener, target string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	dialer := net.Dialer{}
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			server, err := dialer.DialContext(ctx, "tcp", target)
			if err != nil {
				klog.ErrorS(err, "The target does not answer", "target", target)
				_ = client.Close()
				return
			}
			join(client, server)
		}()
	}
}

// join copies both ways; an end of stream on one side is passed on to the other.
func join(first, second net.Conn) {
	var copies sync.WaitGroup
	copyTo := func(to, from net.Conn) {
		defer copies.Done()
		_, _ = io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
	copies.Add(2)
	go copyTo(first, second)
	go copyTo(second, first)
	copies.Wait()
	_ = first.Close()
	_ = second.Close()
}
