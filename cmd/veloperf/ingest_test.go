package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// Goal: every case is measured, as a table and as JSON, with a roofline beside it. Method: few
// records; what they took is not looked at.
func TestIngest(t *testing.T) {
	out, errs, status := veloperf(t, "ingest", "--rows=3000", "--runs=1", "--json")
	if status != 0 {
		t.Fatalf("status %d\n%s", status, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(ingestCases()) {
		t.Fatalf("%d lines\n%s", len(lines), out)
	}
	for _, line := range lines {
		var r ingestReport
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Records != 3000 || r.Bytes < 3000*50 ||
			r.Reader <= 0 ||
			r.Query <= 0 || r.Split <= 0 || (r.Inflate > 0) != (strings.Contains(r.Name, "gzip") || strings.Contains(r.Name, "zstd")) {
			t.Errorf("%v: %s", err, line)
		}
		checkStamp(t, line)
	}
	if out, errs, status := veloperf(t, "ingest", "--rows=1000", "--runs=1"); status != 0 ||
		strings.Count(out, " 1000 ") != len(lines) {
		t.Errorf("status %d\n%s%s", status, errs, out)
	}
	if _, _, status := veloperf(t, "ingest", "--rows=0"); status != 80 {
		t.Errorf("no rows: status %d", status)
	}
}
