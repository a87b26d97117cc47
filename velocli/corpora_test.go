//go:build unix

package velocli

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
)

// A report is what velo should answer to what somebody reported of velo, or of another program. The
// command and the files are in the corpus.
type report struct {
	cmd  string // instead of the corpus's, which says what was tried: the same with velo's options
	out  string // standard output
	or   string // another that is as right
	err  string // a part of standard error
	code int    // exit code

	timed     bool   // it sleeps and hopes that velo has started meanwhile: see TestReports
	differs   string // why velo answers something else, and will
	pending   string // why velo answers something else, and should not
	elsewhere string // why it is not run here
}

// reports are all of the corpus, by their name there. An entry that says why velo's answer differs
// fails where it does not.
var reports = map[string]report{
	"A1":  {out: "n,s\n2,27\n"},
	"A2":  {out: "n,lo\n2,2021-08-06T13:18:00Z\n"},
	"A3":  {out: "n,s,lo\n2,3,2024-11-03T05:30:00Z\n"},
	"A6":  {out: "n\n2\n"},
	"B1":  {out: "n\n110002\n"},
	"B2":  {out: "n,z\n40002,40000\n"},
	"B3":  {out: "n\n100001\n"},
	"B4":  {out: "n\n160001\n"},
	"B5":  {out: "n,m\n200001,199999\n"},
	"C1":  {out: "a,k\n85,150\n"},
	"C2":  {err: "d/2.csv: the header has no column \"a\", \"b\"", code: 1},
	"C5":  {out: "a,b\n3,300\n"},
	"C7":  {timed: true, out: "rc 0\n{\"n\":4,\"s\":33}\n"},
	"C8":  {out: "a\n11\n"},
	"D1":  {out: "id,s\n12345678901234567890,1\n12345678901234567891,1\n"},
	"D3":  {out: "code,n\n02,1\n03,1\n19,1\n2,1\n"},
	"D6":  {out: "n\n3\n"},
	"D8":  {out: "s\n1\n"},
	"E1":  {out: "size now 8\n", err: "keep.csv: that is the file keep.csv"},
	"E3":  {out: "rc 1\ng,v\na,1\nb,2\na,3\n", err: "that is the file t.csv"},
	"E5":  {out: "n,s\n2,3\n"},
	"F1":  {out: "name,v\nann,1\n"},
	"F2":  {out: "name,v\nann,1\n"},
	"F3":  {out: "s\n2\n"},
	"F5":  {out: "a,a b\nline1,1\n"},
	"F6":  {err: "end with CR alone, expected LF or CRLF", code: 1},
	"F7":  {out: "n\n1\n"},
	"F8":  {out: "n,m\n2,2\n"},
	"F9":  {out: "a,b\n4,6\n"},
	"F10": {out: "n\n1\n", differs: "a quote begins a quoted field where it is the first byte of the field"},
	"F11": {out: "n,w\n1,\"37N 36'37.8\"\"N 121W\"\n"},
	"F13": {cmd: "velo query --format csv --no-header --comment '#' --delimiter $'\\t' 'SELECT count(*) AS n FROM " +
		"\"t.log\"'", out: "n\n2\n"},
	"F14": {
		cmd: "velo query --format csv --skip-lines 2 'SELECT * FROM \"t.csv\"'",
		out: "date,temp\n2024-01-01T00:00:00Z,5\n",
	},
	"F15": {cmd: "velo query --format csv --decimal , 'SELECT sum(temp) AS s FROM \"t.csv\"'", out: "s\n19.75\n"},
	"F17": {cmd: "velo query --format csv --null NA --null null 'SELECT avg(b) AS m FROM \"t.csv\"'", out: "m\n3\n"},
	"F18": {out: "n\n2\n"},
	"F19": {out: "n\n2\n", err: "d/b.csv, line 2", code: 2},
	"F20": {out: "{\"a\":\"x\",\"s\":2}\n{\"a\":\"x\\u0000y\",\"s\":1}\n"},
	"F21": {out: "n\n3\n", differs: "NULs before a JSON line are not skipped: the line is set aside, and said"},
	"F22": {out: "n\n1\n"},
	"F23": {err: "UTF-16", code: 1},
	"F24": {err: "compressed with xz", code: 1},
	"F26": {out: "s\n10\n"},
	"F27": {out: "s\n1\n"},
	"F28": {out: "s\n1\n"},
	"F29": {out: "s\n1\n"},
	"F30": {out: "n,s\n0,\n"},
	"F31": {err: "t.csv is empty", code: 1},
	"G1":  {out: "a,b\n\"\",1\n,2\nnot_null\n1\n"},
	"G2":  {out: "m,h,t\n1250000.5,1250000.5,1250000.5\n"},
	"G3":  {out: "s\n+Inf\n\"s\" double precision not null\nm\n+Inf\n"},
	"G4":  {out: "a,b\n\"[1,2]\",\"x,y\"\n"},
	"H1":  {out: "who,n\nann,1\nbob,1\n"},
	"H2": {out: "t,n\na,2\nb,1\n", differs: "a query reads one source, a record of which is one row: unnest is " +
		"refused by name"},
	"H3":  {out: "s\n7\n"},
	"H5":  {out: "n\n1\n"},
	"H7":  {out: "m\n0.7815\n"},
	"H10": {out: "n\n1\n", err: "line 2", code: 2},
	"I1":  {out: "window_start,s\n2019-02-18T22:58:00Z,7720\n"},
	"I2":  {out: "s\n3\n"},
	"I4":  {out: "window_start,s\n2016-01-01T00:00:00Z,1\n"},
	"I5":  {out: "d,s\n2020-06-03T00:00:00Z,1\n"},
	"I6":  {out: "window_start,s\n2024-03-09T05:00:00Z,1\n2024-03-10T05:00:00Z,2\n2024-03-11T04:00:00Z,4\n"},
	"I7":  {out: "window_start,s\n2024-03-01T00:00:00Z,1\n"},
	"I8":  {out: "window_start,n\n2024-03-04T00:00:00Z,1\n"},
	"I9":  {out: "window_start,s\n1969-12-31T23:50:00Z,8\n1969-12-31T23:57:00Z,5\n"},
	"I10": {out: "window_start,n\n2026-01-15T09:27:06Z,1\n2026-01-15T09:27:07Z,2\n2026-01-15T09:27:08Z,3\n2026-01-15T09:27:09Z,4\n2026-01-15T09:27:10Z,5\n2026-01-15T09:27:11Z,5\n2026-01-15T09:27:12Z,4\n2026-01-15T09:27:13Z,3\n2026-01-15T09:27:14Z,2\n2026-01-15T09:27:15Z,1\n"},
	"I11": {out: "window_start,n\n2026-01-15T09:27:00Z,1\n", differs: "the slide of a window is at most its size"},
	"I12": {out: "window_start,window_end,k,n\n2024-01-01T00:00:00Z,2024-01-01T00:00:11Z,a,3\n2024-01-01T00:00:40Z,2024-01-01T00:00:45Z,a,1\n", err: "1 records were late"},
	"I13": {out: "window_start,s\n2020-09-22T04:00:50Z,1\n2020-09-22T04:01:00Z,2\n"},
	"I14": {
		timed: true, out: "windows while running: 3\n",
		differs: "a followed file without WITH (idle) is waited for 30 seconds, which is longer than the case " +
			"takes; it throws away the line that says how many windows are open",
	},
	"I15": {out: "window_start,s\n2024-01-01T00:00:00Z,1\n2024-01-01T00:01:00Z,2\n", err: "1 records were late"},
	"I16": {out: "window_start,s\n2024-01-01T00:00:00Z,1\n", err: "at, is NULL", code: 2},
	// No ORDER BY, so either order is right.
	"J1": {out: "g,p\na,25\nb,75\n", or: "g,p\nb,75\na,25\n"},
	"J2": {out: "a,b\n2,2\n"},
	"J3": {out: "n\n1\n"},
	"J4": {out: "a\n2\n"},
	"J5": {out: "q,t,n\nf,A,1\ng,A,2\ng,B,1\n"},
	"J6": {out: "a,b\n1,1\n"},
	"J7": {out: "p,m\n682,682\n"},
	"J8": {out: "p50,p90\n95.5,99.5\n"},
	"J9": {
		out:     "h,c\n867819600000000000.0,1735639200000000000.0\n",
		differs: "a decimal has 18 digits: what does not fit is set aside, and said",
	},
	"J10": {out: "w\nA\nb\n"},
	"J11": {out: "l\nab\n"},
	"J13": {out: "window_start,window_end,s\n2024-01-01T00:01:00Z,2024-01-01T00:02:00Z,2\n"},
	"J14": {out: "n\n0\n"},
	"J15": {out: "s\nfoo%bar\n"},
	"J16": {out: "x,n\n0,2\n3,1\nNaN,1\n"},
	"L1":  {timed: true, out: "rc 0\n{\"n\":4,\"s\":16}\n"},
	"L2":  {timed: true, out: "rc 0\n{\"n\":4,\"s\":33}\n"},
	"L3":  {timed: true, out: "rc 0\n{\"n\":2,\"s\":6}\n"},
	"L4":  {out: "a\n141\nn\n200000\n"}, // the printed SELECT ends, and says so by its status; the sink is written
	"L5":  {out: "rc 1\n", err: "no space left on device"},
	"L6":  {timed: true, out: "rc 3\n{\"n\":3}\n"},
	"L7":  {out: "n\n1\nrc 2\n", err: "line 2: a record of more than 1048576 bytes"},
	"L8":  {out: "s\n1\nrc 0\n"},
	"L9":  {timed: true, out: "rc 3\n{\"n\":3}\n"},
	"L10": {elsewhere: "a program on the library: engine has tests of its counters"},
	"N2":  {out: "n\n2\n"},
	"N3":  {out: "n\n1\n"},
	"N5":  {out: "s\n3\n"},
	"N6":  {out: "n\n2\n"},
	"N7":  {out: "c7,n\n200,1\n404,1\n"},
	"N8":  {err: "there is no column 3 in SELECT", code: 1},
	"I17": {out: "window_start,n\n2024-01-01T00:00:00Z,10000\n2024-01-01T00:10:00Z,10000\n2024-01-01T00:20:00Z,10000\nwindow_start,n\n2024-01-01T00:00:00Z,10000\n2024-01-01T00:10:00Z,5000\n"},
	"B6":  {out: "n,s\n2,4\n"},
	"D9":  {out: "sex,s\nF,3\n"},
}

// Goal: what users met, here and with other programs, has the right answer, or one that says why
// not. Method: each command of the corpus, with the program and a shell, in a copy of its folder.
// Those that sleep run with VELO_SOAK=1 only: a slow machine would fail them.
func TestReports(t *testing.T) {
	dir := testgen.Corpus(t, "reports")
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ ID, Right string }
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skipf("the commands of the corpus are for a shell that is not here: %v", err)
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		want, ok := reports[c.ID]
		if !ok {
			t.Errorf("%s is new: say in reports what is right: %s", c.ID, c.Right)
			continue
		}
		seen[c.ID] = true
		t.Run(c.ID, func(t *testing.T) {
			switch {
			case want.elsewhere != "":
				t.Skip(want.elsewhere)
			case want.timed && os.Getenv("VELO_SOAK") == "":
				t.Skip("it sleeps: VELO_SOAK=1 runs it")
			}
			t.Parallel()
			folder := t.TempDir()
			if err := unpack(folder, filepath.Join(dir, c.ID)); err != nil {
				t.Fatal(err)
			}
			args := []string{"cmd.sh"}
			if want.cmd != "" {
				args = []string{"-c", want.cmd}
			}
			cmd := exec.Command(shell, args...)
			cmd.Dir = folder
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"),
				"TZ=UTC", "PWD="+folder)
			var out, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &stderr
			code := 0
			var exit *exec.ExitError
			if err := cmd.Run(); errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			// A second answer is one without a fault.
			right := out.String() == want.out && code == want.code && strings.Contains(stderr.String(), want.err) ||
				want.or != "" && out.String() == want.or && code == 0
			why := want.differs + want.pending
			switch {
			case right && why != "":
				t.Errorf("it is right now, and reports says that it differs: %s", why)
			case !right && why == "":
				t.Errorf("exit code %d, expected %d\noutput:\n%s\nexpected:\n%s\nerrors, expected %q in "+
					"them:\n%s\nright is: %s",
					code, want.code, out.String(), want.out, want.err, stderr.String(), c.Right)
			case !right && (strings.Contains(stderr.String(), "panic") ||
				strings.Contains(stderr.String(), "goroutine ")):
				t.Errorf("it panics:\n%s", stderr.String())
			case !right && want.differs != "" && stderr.Len() == 0 && !want.quietly():
				t.Errorf("it differs without a word: %q", out.String())
			}
		})
	}
	for id := range reports {
		if !seen[id] {
			t.Errorf("%s is in reports and not in the corpus", id)
		}
	}
}

// quietly says that the answer is one that velo cannot know to be another than was meant.
func (r report) quietly() bool {
	return strings.Contains(r.differs, "--no-header") || strings.Contains(r.differs, "WITH (idle)")
}

// unpack copies a folder of the corpus. What is packed there is so under its own name.
func unpack(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if plain, packed := strings.CutSuffix(target, ".pack"); packed {
			z, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				return err
			}
			if text, err = io.ReadAll(z); err != nil {
				return err
			}
			target = plain
		}
		return os.WriteFile(target, text, 0o644)
	})
}

// reducedDiffers are the reduced faults whose answer is another, with the reason.
var reducedDiffers = map[string]string{
	"M1.1": "bit_and is there now, and an error that names it was expected",
	"M1.3": "corr is there now, and an error that names it was expected",
	"M3.1": "GROUPING SETS are there now, and an error that names them was expected",
	"M4":   "count(DISTINCT) of two columns is there now, and an error was expected",
	"M6":   "WITH is there now, and an error that names it was expected",
}

// Goal: the reduced faults of other projects' suites have the right rows, or an error that says
// what is wrong. Method: each query over its bytes.
func TestReducedFaults(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testgen.Corpus(t, "reports"), "faults.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, File, Bytes, Schema, SQL, Kind, Source string
		Extra                                      []string
		Want                                       json.RawMessage
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, c.File), []byte(c.Bytes), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"query", "--format", "csv"}, c.Extra...)
			if c.Schema != "" {
				args = append(args, "--schema", c.Schema)
			}
			cmd := exec.Command(program, append(args, strings.ReplaceAll(c.SQL, "@", c.File))...)
			cmd.Dir = folder
			var out, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &stderr
			failed := cmd.Run() != nil
			var right bool
			if c.Kind == "message" {
				var part string
				if err := json.Unmarshal(c.Want, &part); err != nil {
					t.Fatal(err)
				}
				right = failed && strings.Contains(stderr.String(), part)
			} else {
				var want [][]string
				if err := json.Unmarshal(c.Want, &want); err != nil {
					t.Fatal(err)
				}
				got, err := csv.NewReader(bytes.NewReader(out.Bytes())).ReadAll()
				right = err == nil && !failed && len(got) > 0 && slices.EqualFunc(got[1:], want, slices.Equal[[]string])
			}
			if why := reducedDiffers[c.ID]; right == (why != "") {
				t.Errorf("%s: right %v (%s)\noutput:\n%s\nexpected: %s\nerrors:\n%s", c.SQL, right, why, out.String(),
					c.Want, stderr.String())
			}
		})
	}
}
