package model

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// models are the files, each with constants to try it with beside its own.
var models = map[string][][]string{
	"ring.pml":  {nil, {"SLOTS=1", "LAZY=1"}, {"SLOTS=1", "LAZY=3"}, {"SLOTS=4", "ITEMS=7", "LAZY=3"}},
	"bell.pml":  {nil, {"SLOTS=2", "ITEMS=4"}},
	"pump.pml":  {nil},
	"epoch.pml": {nil, {"PINS=2"}, {"PARTITIONS=2"}},
	"marks.pml": {
		{"SHARED"},
		{"SHARED", "MOVE=1", "NOIMAGE=2", "ROWS=1"},
		{"SHARED", "MOVE=1", "NOIMAGE=3", "ROWS=1"},
		{"MOVE=1", "EPOCHS=1"},
		nil,
		{"SHARED", "SLOTS=2", "EPOCHS=1"},
		{"OTHERS=2", "EPOCHS=1"},
	},
	"state.pml": {
		{"OUTBOX", "FAULTS=1"},
		{"PLAIN", "CRASHES=1", "SAVES=1"},
		{"DAMAGE", "CRASHES=1"},
		{"FAULTS=1", "CRASHES=1"},
		{"NAMES", "SAVES=1"},
		{"BOTH", "FAULTS=1", "CRASHES=1"},
	},
}

var (
	bugName = regexp.MustCompile(`\bBUG_[A-Z_]+`)
	errors  = regexp.MustCompile(`errors: (\d+)`)
	states  = regexp.MustCompile(`(\d+) states, stored`)
)

// Goal: no interleaving of the protocols loses, doubles or disorders anything, or leaves anybody asleep; and each bug that a model has
// is found. Method: Spin, exhaustively.
func TestModels(t *testing.T) {
	if testing.Short() {
		t.Skip("every interleaving takes minutes")
	}
	if _, err := exec.LookPath("spin"); err != nil {
		t.Skip("spin is not installed: the models are not checked")
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler: the models are not checked")
	}
	for file, variants := range models {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, defines := range variants {
			t.Run(strings.Join(append([]string{file}, defines...), " "), func(t *testing.T) {
				t.Parallel()
				if found, report := verify(t, cc, file, defines); found != "0" {
					t.Fatalf("%s errors:\n%s", found, report)
				}
			})
		}
		bugs := bugName.FindAllString(string(text), -1)
		slices.Sort(bugs)
		for _, bug := range slices.Compact(bugs) {
			t.Run(file+" "+bug, func(t *testing.T) {
				t.Parallel()
				for _, defines := range variants { // some take a larger ring to show
					if found, _ := verify(t, cc, file, append([]string{bug}, defines...)); found != "0" {
						return
					}
				}
				t.Fatal("the bug was not found")
			})
		}
	}
}

// verify has Spin look at all states of a model and returns how many errors it found, and what it said.
func verify(t *testing.T, cc, file string, defines []string) (found, report string) {
	t.Helper()
	dir := t.TempDir()
	model, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	args := []string{"-a"}
	for _, d := range defines {
		args = append(args, "-D"+d)
	}
	run("spin", append(args, model)...)
	run(cc, "-O1", "-DSAFETY", "-w", "-o", "pan", "pan.c")
	report = run(filepath.Join(dir, "pan"), "-m100000")
	for _, trouble := range []string{"max search depth too small", "out of memory", "aborted"} {
		if strings.Contains(report, trouble) {
			t.Fatalf("the search was not complete: %s\n%s", trouble, report)
		}
	}
	m := errors.FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("Spin did not say how many errors:\n%s", report)
	}
	if n := states.FindStringSubmatch(report); n != nil {
		t.Logf("%s states, %s errors", n[1], m[1])
	}
	return m[1], report
}

// Goal: what a model calls by a name of the code is there by that name. Method: the words with a dot in its comments.
func TestNames(t *testing.T) {
	var code bytes.Buffer
	for _, folder := range []string{"..", "../../engine", "../../core", "../../core/epoch", "../../state", "../../writers"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(folder, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
	}
	for file, names := range map[string][]string{
		"ring.pml": {
			"Push", "fullAfterFlush", "refreshHead", "Close", "Flush", "emptyAfterFlush", "refreshTail",
			"Drained",
		},
		"bell.pml":  {"Wake", "rouse", "park", "announce", "retract", "halt"},
		"pump.pml":  {"take", "wake"},
		"epoch.pml": {"Want", "Raise", "Answer", "Pin", "Unpin", "free"},
		"marks.pml": {
			"scatter", "openChunk", "commit", "startMarks", "mark", "drain", "publish", "catchUp", "resume", "takeBack",
			"applyDirect", "Answer", "Leave", "Raise",
			"Pin", "Unpin", "handOver", "turn",
		},
		"state.pml": {
			"pin", "manifest", "saveSink", "pane", "sayDurable", "save", "send", "Part", "Commit", "Abort", "forget",
			"trim", "look", "restore", "recoverSink", "recoverOutbox", "resend", "Save", "Recover", "PositionsAt", "answer",
			"writeCut",
		},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !bytes.Contains(text, []byte(name)) {
				t.Errorf("%s does not mention %s any more", file, name)
			}
			if !regexp.MustCompile(fmt.Sprintf(`func (\([^)]*\) )?%s\(`, name)).Match(code.Bytes()) {
				t.Errorf("%s models %s, which the code does not have", file, name)
			}
		}
	}
}
