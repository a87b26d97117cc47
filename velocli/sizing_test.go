package velocli

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: an engine leaves half of the cores to what unpacks its files, and what was asked for is kept.
func TestSizingBesideUnpackers(t *testing.T) {
	for _, c := range []struct{ given, want sizing }{
		{sizing{Cores: 1}, sizing{Cores: 1, Readers: 1, Partitions: 1}},
		{sizing{Cores: 2}, sizing{Cores: 1, Readers: 1, Partitions: 1}},
		{sizing{Cores: 7}, sizing{Cores: 3, Readers: 3, Partitions: 3}},
		{sizing{Cores: 4, Readers: 4}, sizing{Cores: 2, Readers: 4, Partitions: 2}},
		{sizing{Cores: 4, Partitions: 3}, sizing{Cores: 2, Readers: 2, Partitions: 3}},
	} {
		s := c.given
		if err := s.fill(1, 1); err != nil {
			t.Fatal(err)
		}
		s = s.besideUnpackers()
		if s.Cores != c.want.Cores || s.Readers != c.want.Readers || s.Partitions != c.want.Partitions {
			t.Errorf("%+v became %+v, expected %+v", c.given, s, c.want)
		}
	}
}

// Goal: a query over a packed file has a core for what unpacks it. Method: the statistics name the runners.
func TestQueryLeavesCoreToUnpacker(t *testing.T) {
	plain := write(t, "a.csv", "a", "1", "2")
	packed := filepath.Join(t.TempDir(), "a.csv.gz")
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte("a\n1\n2\n")); err != nil || z.Close() != nil || f.Close() != nil {
		t.Fatal("the file cannot be written")
	}
	for path, readers := range map[string]string{plain: "2 readers", packed: "1 readers"} {
		_, errs, status := velo(t, "", "query", "--cores=2", "--stats", `SELECT sum(a) FROM "`+path+`"`)
		if status != 0 || !strings.Contains(errs, readers) {
			t.Errorf("%s: status %d, expected %s:\n%s", path, status, readers, errs)
		}
	}
}
