package main

import (
	"path/filepath"
	"testing"
)

// Goal: both programs come to the same groups on every file, and a row more would be found out. Method: small files.
func TestFiles(t *testing.T) {
	for _, f := range files {
		path := filepath.Join(t.TempDir(), f.path())
		figures, err := compare([]program{{"velo", runVelo}, {"DuckDB", runDuckDB}}, f, path, 20_000, 1)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if len(figures) != 4 || figures[0].Ratio != 1 || figures[1].Seconds <= 0 {
			t.Errorf("%s: %+v", f.name, figures)
		}
		other := filepath.Join(t.TempDir(), f.path())
		if err := makeFile(f, other, 20_001); err != nil {
			t.Fatal(err)
		}
		_, got, err := runVelo(f, path, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, more, err := runDuckDB(f, other, 1)
		if err != nil {
			t.Fatal(err)
		}
		same := 0
		for i := range got {
			if i < len(more) && got[i] == more[i] {
				same++
			}
		}
		if same == len(got) && f.name == "measurements.txt" { // the last row of the others may be filtered
			t.Errorf("%s: a row more comes to the same", f.name)
		}
	}
}
