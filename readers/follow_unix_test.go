//go:build unix

package readers

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Goal: what takes the place of a followed file and is no regular file holds up nobody, is said, and is not opened; the file that had the name before is read
// on, and so is a regular file that comes back. Method: each kind of file under the name, directly and behind a link.
func TestFollowOdd(t *testing.T) {
	for kind, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"fifo":      {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "is a FIFO now"},
		"directory": {func(path string) error { return os.Mkdir(path, 0o700) }, "is a directory now"},
		"device":    {func(path string) error { return os.Symlink("/dev/zero", path) }, "is a device now"},
		"socket": {func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, "is a socket now"},
		"fifo behind a link": {func(path string) error {
			if err := syscall.Mkfifo(path+".fifo", 0o600); err != nil {
				return err
			}
			return os.Symlink(path+".fifo", path)
		}, "is a FIFO now"},
		"loop": {func(path string) error { return os.Symlink(path, path) }, "too many levels"},
	} {
		t.Run(kind, func(t *testing.T) {
			s := texts(t, "a")
			path := filepath.Join(t.TempDir(), "log")
			old := &writer{t: t, path: path}
			old.reopen()
			old.put("1\n")
			r, err := FollowDelimited(path, DelimitedConfig{Schema: s})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			setClock(r)
			b := record.NewBatch(s, 0)
			seen := drainTexts(t, r, b)
			if err := r.Trouble(); err != nil {
				t.Errorf("trouble %v, expected none", err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := c.make(path); err != nil {
				t.Skipf("such a file cannot be made here: %v", err)
			}
			polled := make(chan []string)
			go func() {
				old.put("2\n")
				polled <- drainTexts(t, r, b)
			}()
			select {
			case more := <-polled:
				seen = append(seen, more...)
			case <-time.After(time.Minute):
				t.Fatal("Poll does not return")
			}
			if err := r.Trouble(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("trouble %v, expected one that has %q", err, c.want)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			fresh := &writer{t: t, path: path}
			fresh.reopen()
			fresh.put("3\n")
			old.put("4\n")
			seen = append(seen, drainTexts(t, r, b)...)
			if want := []string{"1", "2", "4", "3"}; !slices.Equal(seen, want) {
				t.Errorf("%q, expected %q", seen, want)
			}
			if err := r.Trouble(); err != nil {
				t.Errorf("trouble %v, expected none", err)
			}
		})
	}
}
