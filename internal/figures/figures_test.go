package figures

import (
	"math"
	"strings"
	"testing"
)

// Goal: the numbers of results are sorted into what was asked for and what was measured, with the right direction.
func TestDirection(t *testing.T) {
	for name, want := range map[string]string{
		"records_per_second": Higher, "baseline_records_per_second": Higher, "bytes_per_second": Higher,
		"efficiency": Higher, "speedup": Higher,
		"ratio": Higher, "cpu_ns_per_record": Lower, "rival_ns_per_record": Lower, "cpu_ns_per_row": Lower,
		"p99_us": Lower, "get_ns": Lower, "loss": Lower,
		"gets_1m_loss": Lower, "lock_wait_seconds": Lower, "lock_wait_share": Lower, "seconds": Lower,
		"readers": "", "groups": "", "records": "", "rate": "", "interval_ms": "", "epoch_ms": "", "n": "", "bytes": "",
		"schema_version": "",
	} {
		if got := Direction(name, ""); got != want {
			t.Errorf("%s: %q, expected %q", name, got, want)
		}
	}
	if Direction("value", "M items/s") != Higher || Direction("value", "ns") != Lower {
		t.Error("a value goes by its unit")
	}
}

// Goal: several runs become one result whose figures are medians and whose counts are those of one run.
func TestCombine(t *testing.T) {
	run := func(rate, ns, records float64) map[string]any {
		return map[string]any{
			"records_per_second": rate, "cpu_ns_per_record": ns, "records": records, "mode": "x",
			"readers": 2.0, "seconds": 2.0,
		}
	}
	r, f := Combine([]map[string]any{run(10, 1, 100), run(30, 3, 300), run(20, 9, 200)})
	if r["records_per_second"] != 20.0 || r["cpu_ns_per_record"] != 3.0 || r["records"] != 200.0 || r["mode"] != "x" ||
		r["readers"] != 2.0 {
		t.Errorf("%v", r)
	}
	rate := f["records_per_second"]
	if len(f) != 2 || rate.Better != Higher || len(rate.Samples) != 3 || rate.Samples[1] != 30 || rate.Min != 10 ||
		rate.Max != 30 || rate.N != 3 {
		t.Errorf("%+v", f)
	}
	if Leading(f) != "records_per_second" || Leading(nil) != "" ||
		Leading(map[string]Figure{"b_us": {}, "a_us": {}}) != "a_us" {
		t.Error("another figure leads")
	}
	if _, f := Combine([]map[string]any{{"seconds": 3.0, "rows": 5.0}}); len(f) != 1 || f["seconds"].Median != 3 {
		t.Errorf("without a rate the time is the figure: %+v", f)
	}
	if r, f := Combine([]map[string]any{{"n": 1.0}}); len(f) != 0 || r["n"] != 1.0 {
		t.Errorf("%v %v", r, f)
	}
}

// Goal: what cannot be is said, and what can be is not.
func TestImpossible(t *testing.T) {
	for name, c := range map[string]struct {
		result map[string]any
		want   string // empty if all is well
	}{
		"fine": {map[string]any{
			"efficiency": 1.15, "loss": 0.03, "records_per_second": 5.0, "p50_us": 1.0,
			"p99_us": 1.0, "mode": "-1",
		}, ""},
		"too efficient":     {map[string]any{"efficiency": 1.31}, "efficiency is 1.31"},
		"negative loss":     {map[string]any{"loss": -0.02}, "loss is -2.0 %"},
		"gets that help":    {map[string]any{"gets_1m_loss": -0.5}, "gets_1m_loss is -50.0 %"},
		"share above all":   {map[string]any{"lock_wait_share": 1.5}, "150.0 %"},
		"negative time":     {map[string]any{"get_ns": -4.0}, "get_ns is -4"},
		"nothing":           {map[string]any{"records_per_second": 0.0}, "nothing was measured"},
		"not a number":      {map[string]any{"cpu_ns_per_record": math.NaN()}, "NaN"},
		"percentiles":       {map[string]any{"p99_us": 9.0, "p999_us": 8.0}, "more than p999_us"},
		"seen out of thin":  {map[string]any{"sent": 1.0, "seen": 2.0}, "more than sent"},
		"no figure at all":  {map[string]any{"late": -1.0}, ""},
		"negative interval": {map[string]any{"interval_ms": -1.0}, ""},
	} {
		got := strings.Join(Impossible(c.result), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}
