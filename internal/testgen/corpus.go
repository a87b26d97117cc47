package testgen

import (
	"os"
	"path/filepath"
	"testing"
)

// Corpus returns the folder of test data that comes from outside the project: shared/corpora/name
// beside the project. If the folder does not exist, the test is skipped.
func Corpus(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("testgen: no go.mod above the test")
		}
		dir = up
	}
	dir = filepath.Join(dir, "..", "shared", "corpora", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus %s is not beside the project (%v)", name, err)
	}
	return dir
}
