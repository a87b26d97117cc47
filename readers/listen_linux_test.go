package readers

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tcpListen is the state of a socket that listens, in the kernel's tables.
const tcpListen = "0A"

// listened are the addresses on which this process takes TCP connections, as the kernel knows them.
func listened(t *testing.T) (all []net.TCPAddr) {
	t.Helper()
	own := map[string]bool{}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(links) == 0 {
		t.Skipf("no /proc: %v", err)
	}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil { // the link of the directory itself has gone
			own[name] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // a kernel without IPv6
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != tcpListen || !own[fmt.Sprintf("socket:[%s]", f[9])] {
				continue
			}
			address, port, _ := strings.Cut(f[1], ":")
			ip, err1 := hex.DecodeString(address)
			n, err2 := strconv.ParseUint(port, 16, 16)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %s", table, line)
			}
			for i := 0; i < len(ip); i += 4 {
				slices.Reverse(ip[i : i+4]) // words of the machine, which is little-endian where this is tested
			}
			all = append(all, net.TCPAddr{IP: ip, Port: int(n)})
		}
	}
	return all
}

// Goal: nothing is listened on but loopback addresses, unless TLS and a token were given. Method: listeners in every way that is let through, and then the
// kernel's list of the sockets of this process; one that may be reached from elsewhere shows that the list would have it.
func TestListenOnLoopbackOnly(t *testing.T) {
	cfg, _ := certificate(t)
	before := len(listened(t))
	var want []string
	for _, at := range []ListenConfig{
		{Address: ":0"},
		{Address: "127.0.0.1:0"},
		{Address: "localhost:0"},
		{Address: "127.9.9.9:0"},
		{Address: "[::1]:0"},
		{Address: "[::ffff:127.0.0.1]:0"},
		{Address: ":0", Token: secret},
		{Address: ":0", TLS: cfg},
		{Network: "unix", Address: socketPath(t)},
	} {
		if at.Address == "[::1]:0" {
			probe, err := net.Listen("tcp6", at.Address)
			if err != nil {
				continue // a machine without IPv6
			}
			probe.Close()
		}
		l := listening(t, at, DelimitedConfig{})
		if at.Network != "unix" {
			want = append(want, l.Addr().String())
		}
	}
	all := listened(t)
	if len(all) != before+len(want) {
		t.Errorf("%d sockets, expected %d and these: %v", len(all), before, want)
	}
	for _, a := range all {
		if !a.IP.IsLoopback() {
			t.Errorf("%v is listened on", &a)
		}
	}
	open := listening(t, ListenConfig{Address: "0.0.0.0:0", Token: secret, TLS: cfg}, DelimitedConfig{})
	if a := open.Addr().(*net.TCPAddr); a.IP.To4() == nil {
		t.Errorf("%v is listened on, expected addresses of IPv4 only", a)
	}
	outside := 0
	for _, a := range listened(t) {
		if !a.IP.IsLoopback() {
			outside++
			if _, port, _ := net.SplitHostPort(open.Addr().String()); port != strconv.Itoa(a.Port) {
				t.Errorf("%v is listened on", &a)
			}
		}
	}
	if outside != 1 {
		t.Errorf("%d addresses that others may reach, expected the one with TLS and a token", outside)
	}
}
