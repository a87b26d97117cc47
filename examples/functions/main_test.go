package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/scalar"
)

// TestMain runs the program if a test asks for that, and the tests otherwise.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// Goal: the functions are what the engine relies on.
func TestFunctions(t *testing.T) {
	aggregate.Check2(t, weightedAvg, func(rng *rand.Rand) (value, weight float64) {
		return 100 * rng.Float64(), float64(rng.IntN(10))
	})
	scalar.Check(t, host, func(rng *rand.Rand) string {
		return []string{
			fmt.Sprintf("https://h%d.example.com/%d", rng.IntN(5), rng.IntN(100)), "http://[::1]:80/", "/path", "", "%zz",
		}[rng.IntN(5)]
	})
}

// Goal: the program knows its functions. Method: it runs a query over a file.
func TestProgram(t *testing.T) {
	file := filepath.Join(t.TempDir(), "visits.csv")
	err := os.WriteFile(file, []byte("url,took,bytes\nhttp://a.example/x,10,1\nhttp://b.example/,5,1\n"+
		"http://a.example:80/y,20,3\n/z,1,1\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "query", "--format=csv",
		`SELECT host(url) AS host, weighted_avg(took, bytes) AS took FROM "`+file+`" GROUP BY 1 ORDER BY 1`)
	c.Env = append(os.Environ(), "RUN_PROGRAM=1")
	out, err := c.CombinedOutput()
	want := "host,took\na.example,17.5\nb.example,5\n,1\n"
	if err != nil || string(out) != want {
		t.Errorf("%v: %s, expected %s", err, out, want)
	}
}
