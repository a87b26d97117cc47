package velocli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: velo state says what is saved, finds what is damaged, and copies. Method: over a job's
// folder with two queries, and over one of them.
func TestStateCommands(t *testing.T) {
	inFolder(t, map[string]string{
		"trades.csv": durableTrades, "job.sql": durableWindows + `SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol ORDER BY symbol;`,
	})
	if _, errs, status := velo(t, "", "run", "job.sql", "--state=state", "--readers=1"); status != 0 {
		t.Fatal(errs)
	}
	says := func(status int, args string, words ...string) {
		t.Helper()
		out, errs, got := velo(t, "", append([]string{"state"}, strings.Fields(args)...)...)
		for _, word := range words {
			if got != status || !strings.Contains(out+errs, filepath.FromSlash(word)) {
				t.Errorf("%s: status %d, there is no %q in\n%s%s", args, got, word, out, errs)
			}
		}
	}
	says(0, "list state", "state/source-trades  1 ", "state/source-trades  2 ", "at the end of the input")
	says(0, "show state", "folder      state/source-trades", "plan        volumes", "plan        SELECT", "file trades.csv: read to its end, 90 bytes", "key 1 is symbol text NOT NULL", "In 3",
		"groups      2, 128 bytes", "written to 2024-01-01T00:02:00Z", "watermark 2024-01-01T00:00:57Z")
	says(0, "verify state/source-trades", "state/source-trades: generation 2 is whole")
	out, errs, status := velo(t, "", "state", "show", "state/source-trades", "--json")
	var s shown
	if err := json.Unmarshal([]byte(out), &s); err != nil || status != 0 || s.Generation != 2 || s.Groups != 5 || len(s.Plans) != 2 || !s.Finished || len(s.Readers) != 1 ||
		s.Readers[0].Plans[0].Counters["In"] != 3 || len(s.Readers[0].Positions[0].Offset) == 0 {
		t.Errorf("status %d, %v\n%s%s", status, err, out, errs)
	}
	says(0, "export state job.sql --query=select --format=csv", "symbol,v\n", "A,")
	says(0, "export state job.sql --query=SELECT --format=csv", "symbol,v\n", "A,")
	says(0, "export state/source-trades job.sql --query=select --format=ndjson", `{"symbol":"A","v":`)
	says(0, "export state job.sql --query=volumes --format=csv", "window_start,symbol,")
	says(0, "export state job.sql --query=volumes --format=csv --key=symbol=B", "symbol,v\n2024-01-01T00:00:00Z,B,2\n")
	says(0, "export state job.sql --query=volumes --format=csv --key=symbol=C", "window_start,symbol,v\n")
	says(1, "export state job.sql --query=volumes --key=B", "--key B: expected COLUMN=VALUE, and one of the columns window_start, symbol, v")
	says(1, "export state job.sql --query=other", "no query of job.sql has its state there")
	says(0, "backup state copy", "copy/source-trades: generation 2 of state/source-trades", "--state copy --takeover")
	says(1, "backup state copy", "not empty")
	says(1, "list trades.csv", "trades.csv")
	says(1, "show copy/none", "copy/none")
	says(1, "verify .", "no state is in it")
	says(80, "show")
	if out, errs, status := velo(t, "", "run", "job.sql", "--state=copy", "--takeover", "--format=csv"); status != 0 || out != "symbol,v\nA,5\nB,2\n" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	files, err := filepath.Glob("state/source-trades/*.closed")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	path := files[len(files)-1]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[0] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	says(1, "verify state", "state/source-trades: generation 1 is whole", "state/source-trades: generation 2: "+filepath.Base(path)+": damaged: bytes 0 to ")
	says(0, "list state", "damaged")
}
