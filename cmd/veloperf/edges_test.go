package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/velo-engine/velo/internal/cli"
)

// leaves are the commands, from the model that parses command lines.
func leaves(t *testing.T) []*kong.Node {
	t.Helper()
	k, err := kong.New(&commands{}, kong.Name("veloperf"), kong.Vars{
		"workloads": "", "streams": "", "skews": "", "rivals": "", "version": "", "checks": "",
	})
	if err != nil {
		t.Fatal(err)
	}
	return k.Model.Leaves(false)
}

// words are the words of a command, with an argument that exists for each that it needs.
func words(n *kong.Node, file string) []string {
	args := strings.Fields(strings.TrimPrefix(n.FullPath(), "veloperf "))
	for range n.Positional {
		args = append(args, file)
	}
	if n.Name == "1brc" && n.Parent.Name == "gen" {
		args = append(args, "--out="+file+".out")
	}
	return args
}

// Goal: every flag with a number or a time has a range, and a value outside of it is not
// understood: the status is 80, the message has the flag and what is expected, and nothing is
// printed or written. Method: the model of the command line has all commands and flags; for each,
// values just outside.
func TestRanges(t *testing.T) {
	file := write(t, "a;1.0\n")
	flags := 0
	for _, n := range leaves(t) {
		for _, f := range n.Flags {
			kind := f.Target.Type()
			if kind.Kind() == reflect.Slice {
				kind = kind.Elem()
			}
			switch kind.Kind() {
			case reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint64:
			default:
				continue
			}
			if f.Name == "seed" || f.Name == "epoch" || f.Name == "loads" {
				continue // any value is one; loads have a check of their own
			}
			low, high, found := strings.Cut(cli.RangeOf(n, f.Name, ranges), "..")
			if !found {
				t.Errorf("%s --%s has no range", n.FullPath(), f.Name)
				continue
			}
			flags++
			outside := []string{"-1"}
			if kind == reflect.TypeFor[time.Duration]() {
				outside = []string{"-1ns"}
			}
			if kind.Kind() == reflect.Uint64 {
				outside = []string{"0"}
			}
			if low == "1" {
				outside = append(outside, "0")
			}
			if low == "1ns" {
				outside = append(outside, "0s")
			}
			if kind.Kind() == reflect.Float64 {
				outside = append(outside, "NaN", "+Inf")
			}
			if high != "" && kind.Kind() == reflect.Int {
				outside = append(outside, high+"0")
			}
			for _, v := range outside {
				args := append(words(n, file), "--"+f.Name+"="+v)
				if n.Name == "1brc" && n.Parent.Name == "gen" && f.Name != "rows" {
					args = append(args, "--rows=1")
				}
				out, errs, status := veloperf(t, args...)
				said := strings.ReplaceAll(errs, "--"+f.Name+" +", "--"+f.Name+" ")
				if status != cli.StatusMisuse || out != "" || !strings.Contains(errs, "expected") ||
					!strings.Contains(said, "--"+f.Name+" "+strings.TrimPrefix(v, "+")) {
					t.Errorf("%v: status %d, %q, %s", args, status, out, errs)
				}
			}
		}
	}
	if flags < 40 {
		t.Errorf("%d flags, expected 40 and more", flags)
	}
	if _, err := os.Stat(file + ".out"); err == nil {
		t.Error("a file was written")
	}
}

// Goal: what is wrong with a command line has status 80, and what is wrong with files and the host
// has status 1, in all commands; nothing is printed, and the message says what is expected.
func TestStatuses(t *testing.T) {
	file := write(t, "a;1.0\n")
	missing := filepath.Join(t.TempDir(), "missing")
	nowhere := filepath.Join(missing, "x")
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"nothing", 80, "unexpected argument"},
		{"run --nothing", 80, "unknown flag"},
		{"1brc", 80, "<file>"},
		{"run --exchange=x", 80, "must be one of"},
		{"run --profile=x", 80, "no workload"},
		{"run --rival=x", 80, "--rival x"},
		{"run --ring-slots=3", 80, "a power of two"},
		{"run --profile=s3a --rebalance", 80, "--rebalance"},
		{"run --memory=1kB", 80, "expected 1 MiB"},
		{"1brc FILE --memory=much", 80, "such as '64 MB'"},
		{"scale --profile=x", 80, "no workload"},
		{"modes --workload=x", 80, "no workload"},
		{"snapshot --profile=x", 80, "no workload"},
		{"model --profile=x", 80, "no workload"},
		{"validate --profile=x", 80, "no workload"},
		{"validate --only=x", 80, "expected some of warnings, tests"},
		{"skew --skew=x", 80, "expected some of even"},
		{"batching --loads=1", 80, "less than 1"},
		{"batching --loads=NaN", 80, "less than 1"},
		{"ring --peers=../../bench/peers --only=[", 80, "missing closing ]"},
		{"ring --peers=../../bench/peers --cpuprofile=x", 80, "program of their own"},
		{"run --pprof=x", 80, "6060"},
		{"readers --pprof=0.0.0.0:0", 80, "loopback"},
		{"diff FILE FILE --threshold=x", 80, "a share such as"},
		{"flame FILE --text --json", 80, "expected one of them"},
		{"flame FILE --text --out=x", 80, "expected one of them"},
		{"report FILE --text --json", 80, "expected one of them"},
		{"gen 1brc --rows=1 --out=- --json", 80, "expected --out FILE"},
		{"gen 1brc --out=NOWHERE", 80, "--rows"},

		{"1brc MISSING", 1, "no such file"},
		{"diff MISSING FILE", 1, "no such file"},
		{"flame MISSING", 1, "no such file"},
		{"report MISSING", 1, "no such file"},
		{"model --calibration=MISSING", 1, "no such file"},
		{"model --save=NOWHERE", 1, "no such file"},
		{"doctor --root=MISSING", 1, "no such file"},
		{"gen 1brc --rows=1 --out=NOWHERE", 1, "no such file"},
		{"gen 1brc --rows=1 --out=FILE.out --stations=MISSING", 1, "no such file"},
		{"run --cpuprofile=NOWHERE", 1, "no such file"},
		{"scale --memprofile=NOWHERE", 1, "no such file"},
		{"ingest --trace=NOWHERE", 1, "no such file"},
		{"1brc FILE --mutexprofile=NOWHERE", 1, "no such file"},
		{"ingest --rows=1 --dir=MISSING", 1, "no such file"},
		{"ring --peers=MISSING", 1, "--peers"},
	} {
		names := strings.NewReplacer("FILE", file, "MISSING", missing, "NOWHERE", nowhere)
		args := strings.Fields(names.Replace(c.args))
		begun := time.Now()
		out, errs, status := veloperf(t, args...)
		if status != c.status || out != "" || !strings.Contains(errs, c.want) || strings.Contains(errs, "goroutine") {
			t.Errorf("%s: status %d, expected %d with %q\n%s%s", c.args, status, c.status, c.want, out, errs)
		}
		if d := time.Since(begun); d > time.Second {
			t.Logf("%s took %v", c.args, d)
		}
	}
}

// Goal: what a flag with a range has by default is in the range, and so are both ends.
func TestRangesTakeDefaults(t *testing.T) {
	for _, n := range leaves(t) {
		for _, f := range n.Flags {
			if cli.RangeOf(n, f.Name, ranges) == "" || f.Default == "" {
				continue
			}
			var parsed commands
			file := write(t, "")
			args := append(words(n, file), "--"+f.Name+"="+f.Default)
			if n.Name == "1brc" && n.Parent.Name == "gen" {
				args = append(args, "--rows=1")
			}
			ctx, status := cli.Parse(&parsed, args, io.Discard, io.Discard, kong.Name("veloperf"), kong.Vars{
				"workloads": "", "streams": "", "skews": "", "rivals": "", "version": "", "checks": "",
			})
			if ctx == nil {
				t.Fatalf("%v: status %d", args, status)
			}
			err := cli.CheckRanges(ctx, ranges)
			if err != nil {
				t.Errorf("%v: %v", args, err)
			}
		}
	}
}

// Goal: each line of a table comes on standard error as it is measured, with --verbose and only
// then.
func TestVerbose(t *testing.T) {
	var errs bytes.Buffer
	for _, verbose := range []bool{true, false} {
		errs.Reset()
		var seen []string
		var out bytes.Buffer
		p := printing[point]{head: "number\trate\t", cells: func(p point) string {
			return fmt.Sprintf("%d\t%g\t", p.N, p.T)
		}}
		err := measure(&measuring{Runs: 2, Verbose: verbose}, streams{&out, &errs}, p,
			func(_ bool, each func(point)) error {
				for i := range 2 {
					each(point{i, 5, 1})
					seen = append(seen, errs.String())
				}
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range seen {
			if got := strings.Contains(text, fmt.Sprintf(" s  %d  5\n", i%2)); got != verbose {
				t.Errorf("verbose %v, after line %d: %q", verbose, i, text)
			}
		}
		if strings.Contains(errs.String(), "after  number  rate\n") != verbose {
			t.Errorf("verbose %v: %q", verbose, errs.String())
		}
	}
}

// Goal: an interrupt ends a measurement at once; what earlier runs have measured is printed, and
// the status says that it is not all.
func TestInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot interrupt itself there")
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	never, runs := make(chan struct{}), 0
	defer close(never)
	p := printing[point]{head: "number\t", cells: func(p point) string { return fmt.Sprintf("%d\t", p.N) }}
	err = measure(&measuring{Runs: 5}, streams{&out, &errs}, p, func(_ bool, each func(point)) error {
		if runs++; runs == 3 {
			err := self.Signal(os.Interrupt)
			if err != nil {
				return err
			}
			<-never // a pass that does not look at interrupts
			return nil
		}
		each(point{7, 5, 1})
		return nil
	})
	if !errors.Is(err, errInterrupted) || !strings.Contains(out.String(), "of 2 runs") {
		t.Errorf("%v\n%s", err, out.String())
	}
	_, said, status := veloperf(t, "readers", "--max=1", "--runs=1", "--duration=50ms", "--warmup=0s")
	if status != 0 {
		t.Errorf("after that: status %d, %s", status, said)
	}
}

// Goal: a file that cannot be written as a whole is removed, and a device stays.
func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	boom := errors.New("boom")
	err := writeFile(name, func(w io.Writer) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, boom)
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("half a file is left")
	}
	if runtime.GOOS != "linux" {
		return
	}
	// A link to a device, so that what would be removed by mistake is the link.
	link := filepath.Join(t.TempDir(), "full")
	if err := os.Symlink("/dev/full", link); err != nil {
		t.Skip(err)
	}
	_, errs, status := veloperf(t, "gen", "1brc", "--rows=10", "--out="+link)
	if status != 1 || !strings.Contains(errs, "no space left") {
		t.Errorf("status %d, %s", status, errs)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("the device is gone: %v", err)
	}
}

// A full writer takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("it is full") }

// Goal: an answer that could not be printed is a failure, whatever the answer is.
func TestNoRoom(t *testing.T) {
	perf := write(t, "velo 1 [000] 1.0: 1 cpu-clock:\n\tffff main.inner (x)\n\n")
	quiet, laptop := hostTree(t, "quiet"), hostTree(t, "laptop")
	for _, args := range [][]string{
		{"doctor", "--root=" + quiet},
		{"doctor", "--root=" + laptop},
		{"doctor", "--json", "--root=" + laptop},
		{"validate", "--only=warnings", "--source=" + t.TempDir()},
		{"flame", perf, "--text"},
		{"flame", perf, "--top=3", "--out=" + perf + ".svg"},
		{"gen", "1brc", "--rows=1", "--out=-"},
		{"1brc", write(t, "a;1.0\n")},
		{"model", "--cores=2", "--calibration=testdata/calibration.json"},
		{"readers", "--max=1", "--runs=1", "--duration=50ms", "--warmup=0s"},
	} {
		var errs bytes.Buffer
		status := run(args, full{}, &errs)
		if status != 1 || !strings.Contains(errs.String(), "it is full") {
			t.Errorf("%v: status %d, %s", args, status, errs.String())
		}
	}
}

// Goal: every command has --json, those with a page have --text, and those that measure say how
// long they take.
func TestForms(t *testing.T) {
	for _, n := range leaves(t) {
		has := map[string]bool{}
		for _, f := range n.Flags {
			has[f.Name] = true
		}
		if !has["json"] {
			t.Errorf("%s has no --json", n.FullPath())
		}
		if (n.Name == "report" || n.Name == "flame") && !has["text"] {
			t.Errorf("%s has no --text", n.FullPath())
		}
		if n.Detail == "" && has["runs"] && n.Name != "1brc" {
			t.Errorf("%s: --help does not say how long it takes", n.FullPath())
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "m.txt")
	out, errs, status := veloperf(t, "gen", "1brc", "--rows=5", "--out="+file, "--json")
	var made struct {
		stamp
		genReport
	}
	text, err := os.ReadFile(file)
	if err != nil || status != 0 {
		t.Fatal(err, errs)
	}
	err = json.Unmarshal([]byte(out), &made)
	if err != nil || made.Rows != 5 || made.Bytes != int64(len(text)) || made.SchemaVersion != schemaVersion {
		t.Errorf("%v: %s", err, out)
	}
	if out, _, status := veloperf(t, "gen", "1brc", "--rows=5", "--out=-"); status != 0 || out != string(text) {
		t.Errorf("status %d, %q, expected %q", status, out, text)
	}
	perf := write(t, "velo 1 [000] 1.0: 1 cpu-clock:\n\tffff main.inner (x)\n\tffff main.outer (x)\n\n")
	if _, errs, status := veloperf(t, "flame", write(t, "a b\n x y\n"), "--text"); status != 1 ||
		!strings.Contains(errs, `line 2: " x y", expected an address`) {
		t.Errorf("no profile: status %d, %s", status, errs)
	}
	out, errs, status = veloperf(t, "flame", perf, "--text")
	if status != 0 || !strings.Contains(out, "100.0 %") || !strings.Contains(out, "main.inner") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	out, errs, status = veloperf(t, "flame", perf, "--json")
	if status != 0 || !strings.Contains(out, `"stack":["`) || !strings.Contains(out, `"main.outer","main.inner"]`) {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	results := filepath.Join(dir, "r.json")
	out, _, _ = veloperf(t, "readers", "--max=1", "--runs=1", "--duration=50ms", "--warmup=0s", "--json")
	if err := os.WriteFile(results, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status = veloperf(t, "report", results, "--json")
	if status != 0 || !strings.Contains(out, `"title":"Where these figures come from"`) ||
		!strings.Contains(out, `"rows":[["veloperf readers`) {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}
