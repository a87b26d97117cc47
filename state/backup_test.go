package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: a copy has the newest generation, is refused until it is taken over, and both go on; a copy
// over something is refused. What is damaged is found in each generation, also the older.
func TestBackupAndCheck(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "a", "to")
	f, err := OpenFolder(from, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 3 {
		w := f.Begin()
		m := &Manifest{Plans: []Plan{{RowBytes: 8}}}
		rows, err := w.Part(i%2 == 0, Pieces([]byte(strings.Repeat("12345678", 100+i))))
		if err != nil {
			t.Fatal(err)
		}
		m.Plans[0].Panes = append(m.Plans[0].Panes, Pane{Rows: rows})
		if err := w.Commit(m); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Backup(from, to) // while f has it
	if err != nil || m.Generation != 3 || m.Groups() != 102 {
		t.Fatalf("%v, %v", m, err)
	}
	if _, err := Backup(from, to); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("over a copy: %v", err)
	}
	if _, err := OpenFolder(to, Options{}); !errors.Is(err, ErrCopied) && f.fs.Home() != "" {
		t.Errorf("%v, expected ErrCopied", err)
	}
	c, err := OpenFolder(to, Options{Takeover: true, NoSync: true})
	if err != nil || c.Newest.Generation != 3 {
		t.Fatalf("%v", err)
	}
	c.Close()
	whole, err := Check(from)
	if err != nil || len(whole) != 2 || whole[0].Err != nil || whole[1].Err != nil || whole[0].Generation != 2 {
		t.Fatalf("%v, %v", whole, err)
	}
	// The older generation is damaged.
	path := filepath.Join(from, whole[0].Manifest.Files()[0])
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-5] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := Check(from)
	if err != nil || len(all) != 2 || !errors.Is(all[0].Err, ErrDamaged) || all[1].Err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if !Holds(from) || Holds(t.TempDir()) || Holds(filepath.Join(from, "none")) {
		t.Error("Holds")
	}
	if _, err := Check(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no generation") {
		t.Errorf("an empty folder: %v", err)
	}
}
