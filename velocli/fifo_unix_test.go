//go:build unix

package velocli

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Goal: a FIFO is read once, to its end, compressed or not. Method: a program that writes to one.
func TestFIFO(t *testing.T) {
	for _, text := range []string{"v\n1\n2\n", pack(t, ".gz", "v\n1\n2\n")} {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skipf("no FIFOs here: %v", err)
		}
		written := make(chan error, 1)
		go func() { written <- os.WriteFile(path, []byte(text), 0o600) }()
		out, errs, status := velo(t, "", "query", "--format=csv", `SELECT sum(v) AS s FROM "`+path+`"`)
		if err := <-written; err != nil || status != 0 || out != "s\n3\n" {
			t.Errorf("status %d, %v\n%s%s", status, err, out, errs)
		}
	}
}
