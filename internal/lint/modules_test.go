package lint

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxModules is how many modules a service takes in with velo. What has more of them, such as a
// client of a database or of a broker, lies in a nested module: connect/kafka, bench/peers.
const maxModules = 39

// Goal: go get of velo does not grow. Method: the modules that this one knows of, itself included.
func TestModules(t *testing.T) {
	cmd := exec.Command("go", "list", "-m", "all")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(all) > maxModules {
		t.Errorf("%d modules, at most %d are allowed:\n%s", len(all), maxModules, strings.Join(all, "\n"))
	}
}
