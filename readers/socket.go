package readers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// The networks.
const (
	networkTCP  = "tcp"
	networkUnix = "unix"
)

const (
	// socketMode lets nobody connect but the user whose process listens.
	socketMode = 0o600

	// maxSocketPath is what the narrowest of the systems has room for in an address: longer paths end in an error that says nothing.
	maxSocketPath = 103
)

// openSocketFor is openSocket, but for a test of sockets that fail.
var openSocketFor = openSocket

// openSocket listens where c says, and returns what removes the file of the socket. That comes before the socket is closed: as long as it is open no other
// file can be taken for it.
func openSocket(c *ListenConfig) (deadlineListener, func() error, error) {
	if c.Network == networkUnix {
		return openUnix(c.Address)
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("%w, expected host:port", err)
	}
	if host == "" {
		host = "127.0.0.1" // for the net package it would be all addresses
	}
	address, err := net.ResolveTCPAddr(networkTCP, net.JoinHostPort(host, port))
	if err != nil {
		return nil, nil, err
	}
	if !address.IP.IsLoopback() && (c.TLS == nil || c.Token == "") {
		return nil, nil, fmt.Errorf("%v is no loopback address, so other machines could connect: expected 127.0.0.1 or ::1, or TLS and a token", address.IP)
	}
	network := networkTCP
	if address.IP.To4() != nil {
		network = "tcp4" // else 0.0.0.0 would be all addresses of IPv6 too
	}
	l, err := net.ListenTCP(network, address) // what has been looked at, and not the name once more
	if err != nil {
		return nil, nil, err
	}
	return l, func() error { return nil }, nil
}

// openUnix makes a unix socket. A file that a process has left behind which is not there any more is replaced.
func openUnix(path string) (deadlineListener, func() error, error) {
	if strings.HasPrefix(path, "@") {
		return nil, nil, errors.New("an abstract socket has no mode that says who may connect, expected the path of a file")
	}
	if len(path) > maxSocketPath {
		return nil, nil, fmt.Errorf("a path of %d bytes, expected %d at most", len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	lc := net.ListenConfig{Control: private}
	any, err := lc.Listen(context.Background(), networkUnix, path)
	if err != nil {
		return nil, nil, err
	}
	l := any.(*net.UnixListener) // the network is unix
	l.SetUnlinkOnClose(false)    // by then it may be another's
	own, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, socketMode) // where private cannot do it
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close(), os.Remove(path))
	}
	return l, func() error { return removeSame(path, own) }, nil
}

// removeStale removes a socket that nobody listens on; it is an error if somebody does, or if the file is something else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file of that name which is no socket")
	}
	c, err := net.Dial(networkUnix, path)
	if err == nil {
		return errors.Join(errors.New("another process listens there"), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("there is a socket, and whether somebody listens there is not known: %w", err)
	}
	return removeSame(path, info)
}

// removeSame removes a file if it is still the one that it was.
func removeSame(path string, was fs.FileInfo) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !os.SameFile(info, was) {
		return nil
	}
	return os.Remove(path)
}
