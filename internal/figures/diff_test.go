package figures

import (
	"strings"
	"testing"
)

func result(command, name string, figure string, better string, samples ...float64) Result {
	return Result{
		Fields:  map[string]any{"command": "veloperf " + command, "impl": name},
		Figures: map[string]Figure{figure: {Better: better, Samples: samples}},
	}
}

// Goal: a change is told from chance, and its direction from the figure. Method: runs that lie apart, mixed, near and few.
func TestDiff(t *testing.T) {
	base := []float64{100, 101, 102, 103, 104}
	for name, c := range map[string]struct {
		figure, better string
		b              []float64
		threshold      float64
		want           string
	}{
		"faster":             {"records_per_second", Higher, []float64{120, 121, 122, 123, 124}, 0, Better},
		"slower":             {"records_per_second", Higher, []float64{80, 81, 82, 83, 84}, 0, Worse},
		"takes longer":       {"cpu_ns_per_record", Lower, []float64{120, 121, 122, 123, 124}, 0, Worse},
		"takes less":         {"cpu_ns_per_record", Lower, []float64{80, 81, 82, 83, 84}, 0, Better},
		"mixed":              {"records_per_second", Higher, []float64{99, 101.5, 102.5, 103.5, 99.5}, 0, Same},
		"below what matters": {"records_per_second", Higher, []float64{96, 97, 97.5, 98, 99}, 0.05, Same},
		"above what matters": {"records_per_second", Higher, []float64{86, 87, 87.5, 88, 89}, 0.05, Worse},
		"too few runs":       {"records_per_second", Higher, []float64{50, 51}, 0, Few},
	} {
		a := []Result{result("run", "x", c.figure, c.better, base...)}
		changes, left := Diff(a, []Result{result("run --other flags", "x", c.figure, c.better, c.b...)}, c.threshold)
		if len(left) > 0 || len(changes) != 1 || changes[0].Verdict != c.want || changes[0].Figure != c.figure ||
			changes[0].Name != "run x" {
			t.Errorf("%s: %+v %q, expected %s", name, changes, left, c.want)
		}
	}
	a := []Result{
		result("run", "x", "seconds", Lower, 1, 2), result("run", "y", "seconds", Lower, 1, 2),
		result("run", "x", "seconds", Lower, 5),
	}
	b := []Result{
		result("run", "z", "seconds", Lower, 1, 2), result("run", "x", "seconds", Lower, 0),
		result("run", "x", "seconds", Lower, 7),
	}
	changes, left := Diff(a, b, 0)
	if len(changes) != 1 || changes[0].Ratio.Ratio != 1.4 {
		t.Errorf("a figure of 0 has no ratio, and the second x meets the second: %+v", changes)
	}
	if strings.Join(left, "\n") != "only in the first: run y\nonly in the second: run z" {
		t.Errorf("%q", left)
	}
}

// Goal: what veloperf prints is read back, and what it does not print is refused with the line.
func TestRead(t *testing.T) {
	all, err := Read(strings.NewReader(`{"command":"veloperf scale --max 2","n":2,"profile":"u_1k","figures":{"records_per_second":{"better":"higher","samples":[1,2]}},"spoilers":["a"]}`+"\n\n"), "a.json")
	if err != nil || len(all) != 1 || all[0].Name() != "scale u_1k n=2" ||
		len(all[0].Figures["records_per_second"].Samples) != 2 || all[0].Texts("spoilers")[0] != "a" {
		t.Errorf("%+v %v", all, err)
	}
	if n, ok := all[0].Number("n"); n != 2 || !ok {
		t.Error("a number is not read")
	}
	for text, want := range map[string]string{
		"{}\nno\n":      "a.json:2: expected what veloperf prints",
		`{"figures":1}`: "a.json:1: figures", "[]": "a.json:1",
	} {
		if _, err := Read(strings.NewReader(text), "a.json"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", text, err, want)
		}
	}
	if (Result{}).Measured() != "?" {
		t.Error("the command of nothing")
	}
}

// Goal: results of one command that differ in what was measured have different names, so that like
// is compared with like.
func TestNames(t *testing.T) {
	for want, fields := range map[string]map[string]any{
		"skew zipf1.4 policy partitions=4": {"skew": "zipf1.4", "assignment": "policy", "partitions": 4.0},
		"batching 64 rows, spin load=0.01": {"setting": "64 rows, spin", "load": 0.01},
		"run u_1k exchange=2":              {"profile": "u_1k", "exchange": 2.0},
	} {
		fields["command"] = "veloperf " + strings.Fields(want)[0]
		if got := (Result{Fields: fields}).Name(); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
