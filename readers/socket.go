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
	// socketMode lets only the user whose process listens connect.
	socketMode = 0o600

	// maxSocketPath is the length of a path that fits an address on every system. For a longer path
	// the system's error does not say what is wrong.
	maxSocketPath = 103
)

// openSocketFor is openSocket. A test replaces it by sockets that fail.
var openSocketFor = openSocket

// openSocket listens where c says, and returns what removes the file of the socket. The file must
// be removed before the socket is closed: as long as the socket is open, no other file can be
// mistaken for it.
func openSocket(c *ListenConfig) (deadlineListener, func() error, error) {
	if c.Network == networkUnix {
		return openUnix(c.Address)
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("%w, expected host:port", err)
	}
	if host == "" {
		host = "127.0.0.1" // the net package would take all addresses
	}
	address, err := net.ResolveTCPAddr(networkTCP, net.JoinHostPort(host, port))
	if err != nil {
		return nil, nil, err
	}
	if !address.IP.IsLoopback() && (c.TLS == nil || c.Token == "") {
		return nil, nil, fmt.Errorf("%v is no loopback address, so other machines could connect: expected 127.0.0.1 "+
			"or ::1, or TLS and a token", address.IP)
	}
	network := networkTCP
	if address.IP.To4() != nil {
		network = "tcp4" // otherwise 0.0.0.0 would be all addresses of IPv6 too
	}
	l, err := net.ListenTCP(network, address) // the address that was checked, not the name again
	if err != nil {
		return nil, nil, err
	}
	return l, func() error { return nil }, nil
}

// openUnix makes a unix socket. If a process that no longer runs has left a socket file, it is
// replaced.
func openUnix(path string) (deadlineListener, func() error, error) {
	if strings.HasPrefix(path, "@") {
		return nil, nil, errors.New("an abstract socket has no mode that says who may connect, expected the path " +
			"of a file")
	}
	if len(path) > maxSocketPath {
		return nil, nil, fmt.Errorf("a path of %d bytes, expected %d at most", len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	lc := net.ListenConfig{Control: private}
	listener, err := lc.Listen(context.Background(), networkUnix, path)
	if err != nil {
		return nil, nil, err
	}
	l := listener.(*net.UnixListener) // the network is unix
	l.SetUnlinkOnClose(false)         // by then the file may belong to another process
	own, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, socketMode) // for systems on which private cannot set the mode
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close(), os.Remove(path))
	}
	return l, func() error { return removeSame(path, own) }, nil
}

// removeStale removes a socket that nobody listens on. It is an error if somebody does, or if the
// file is something else.
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

// removeSame removes a file if it is still the same file.
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
