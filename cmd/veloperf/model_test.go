package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: given a calibration the model says the same each time, says that it is a model and what it
// assumes, has the predictions beside what was measured, and goes up to as many cores as asked for.
// The calibration is a recorded one, of two virtual cores; its predictions are near to what was
// measured there.
func TestModel(t *testing.T) {
	args := []string{"model", "--calibration=testdata/calibration.json", "--cores=32"}
	out, stderr, status := veloperf(t, args...)
	if status != 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	for _, want := range []string{
		"MODEL, not a measurement", "the model assumes:", "16 partitions on 2 cores", "a hot key", "a slow one",
		"\n     32  ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if again, _, _ := veloperf(t, args...); again != out {
		t.Errorf("first\n%s, then\n%s", out, again)
	}
	text, stderr, status := veloperf(t, append(args, "--json")...)
	if status != 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	beside, beyond := 0, 0
	last := 0.0
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var p struct {
			modelPoint
			stamp
			Assumptions []string
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		if p.SchemaVersion == 0 || p.Host == "" || p.Commit == "" || p.Predicted <= 0 || len(p.Assumptions) < 5 || !strings.Contains(p.Kind, "model") {
			t.Errorf("%s", line)
		}
		if p.Measured > 0 {
			beside++
			if math.Abs(p.Error) > 0.15 && !p.Spoiled {
				t.Errorf("%s: %.4g records a second, %.4g were measured", p.Case, p.Predicted, p.Measured)
			}
			continue
		}
		beyond++
		if p.Cores > 2 && p.Predicted < last { // one partition needs no choice between partitions
			t.Errorf("%d cores: %.3g records a second, %.3g with half as many", p.Cores, p.Predicted, last)
		}
		last = p.Predicted
	}
	if beside < 8 || beyond != 6 {
		t.Errorf("%d points beside measurements and %d beyond, expected at least 7, and 6", beside, beyond)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	for content, want := range map[string]string{
		"x":                          "is no calibration",
		`{"calibration": {}}`:        "route_ns has no points, expected one at least",
		`{"cores": 2, "cases": [1]}`: "is no calibration",
	} {
		if err := os.WriteFile(bad, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr, status := veloperf(t, "model", "--calibration="+bad)
		if status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %s; expected %q", content, status, stderr, want)
		}
	}
}

// Goal: the model calibrates itself here, and the file that it saves is one that it takes.
func TestModelCalibrates(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	file := filepath.Join(t.TempDir(), "calibration.json")
	out, stderr, status := veloperf(t, "model", "--cores=2", "--runs=1", "--duration=50ms", "--profile=seed",
		"--save="+file)
	if status != 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if again, stderr, _ := veloperf(t, "model", "--cores=2", "--calibration="+file); again != out {
		t.Errorf("measured\n%s, then from the file\n%s%s", out, again, stderr)
	}
}
