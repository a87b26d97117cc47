package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: a file that grows is read as it grows, across a rename with a successor and across being cut short, each record once; nothing waits.
// Method: writes, renames and truncations with polls between them.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := texts(t, "a", "b")
	csv, err := FollowDelimited(path, DelimitedConfig{Schema: s, Header: true, BlockBytes: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer csv.Close()
	b := record.NewBatch(s, 0)
	var got, rejects []string
	look := func(r *Stream, want ...string) {
		t.Helper()
		got = got[:0]
		for idle := 0; idle < 5; idle++ {
			b.Reset()
			if err := r.Poll(b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				got = append(got, fmt.Sprintf("%s %s", b.Column(0).View(i), b.Column(1).View(i)))
				idle = 0
			}
			for _, rj := range b.Rejects() {
				rejects = append(rejects, fmt.Sprintf("%d:%d:%s:%v", rj.Line, rj.Offset, rj.Bytes, rj.Reason))
				idle = 0
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, expected %q", got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(path, text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		must(err)
		_, err = f.WriteString(text)
		must(err)
		must(f.Close())
	}
	look(csv) // it is not there
	add(path, "")
	look(csv)
	add(path, "a,b\n1,")
	look(csv)
	add(path, "2\n3,4\n"+strings.Repeat("5,6\n", 3))
	look(csv, "1 2", "3 4", "5 6", "5 6", "5 6")
	add(path, "7,8\nbad\n9")
	look(csv, "7 8")
	// Rotated: what is written to the old file is read first, its last line ends with it, and the new one has its header.
	must(os.Rename(path, path+".1"))
	look(csv)
	add(path+".1", ",10")
	look(csv)
	add(path, "a,b\n11,12\n")
	look(csv, "9 10", "11 12")
	// Cut short, and written again.
	add(path, "13,1")
	look(csv)
	must(os.Truncate(path, 0))
	look(csv)
	add(path, "a,b\n14,15\n")
	look(csv, "14 15")
	want := []string{
		"8:28:bad:1 fields, expected 2",
		"3:10:13,1:the record does not end: the file was cut short",
	}
	if !slices.Equal(rejects, want) {
		t.Errorf("rejects %q, expected %q", rejects, want)
	}

	json, err := FollowNDJSON(path+".json", NDJSONConfig{Schema: s})
	must(err)
	defer json.Close()
	add(path+".json", `{"a":"1","b":"2"}`+"\n"+`{"a":"3"`)
	look(json, "1 2")
	add(path+".json", `,"b":"4"}`+"\n")
	look(json, "3 4")

	if _, err := FollowDelimited(t.TempDir(), DelimitedConfig{Schema: s}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%v", err)
	}
}
