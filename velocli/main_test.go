package velocli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// velo runs the program.
func velo(t *testing.T, stdin string, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(args, strings.NewReader(stdin), &o, &e)
	return o.String(), e.String(), status
}

// write makes a file of some lines.
func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var tradesLines = []string{
	"symbol,price,size,venue,at",
	"A,10.5,1,x,2024-01-01T00:00:01Z",
	"B,20,2,,2024-01-01T00:00:11Z",
	`"A, Inc",11,3,"y ""z""",2024-01-01T00:00:12Z`,
	"A,12,5,x,2024-01-01T00:01:12Z",
}

// Goal: a SELECT without a command is velo query, also after options; a word that is none is said.
func TestNoCommand(t *testing.T) {
	path := write(t, "trades.csv", tradesLines...)
	sql := `SELECT count(*) AS n FROM "` + path + `"`
	for _, args := range [][]string{
		{sql},
		{"--format=csv", sql},
		{sql, "--format", "csv"},
		{"--format", "csv", " select\n count(*) AS n FROM '" + path + "'"},
	} {
		out, errs, status := velo(t, "", args...)
		if status != 0 || !strings.HasPrefix(out, "n\n") || !strings.HasSuffix(out, "4\n") {
			t.Errorf("%q: status %d, %s%s", args, status, out, errs)
		}
	}
	for _, args := range [][]string{{"selects"}, {"select"}, {"--format=csv"}, {}} {
		if _, errs, status := velo(t, "", args...); status != 80 || errs == "" {
			t.Errorf("%q: status %d, %s", args, status, errs)
		}
	}
}

// Goal: --version says what the program is, and that is all.
func TestVersion(t *testing.T) {
	out, errs, status := velo(t, "", "--version")
	if status != 0 || !strings.HasPrefix(out, "velo ") || !strings.Contains(out, "go1.") || errs != "" {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

// Goal: --stats says on standard error what the engine did, and --help names the commands.
func TestAsides(t *testing.T) {
	path := write(t, "trades.csv", tradesLines...)
	out, errs, status := velo(t, "", "query", "--format=csv", "--stats",
		fmt.Sprintf(`SELECT count(*) AS n FROM "%s"`, path))
	if status != 0 || out != "n\n4\n" || !strings.Contains(errs, "partition") {
		t.Errorf("--stats: status %d, %s%s", status, out, errs)
	}
	if out, _, status := velo(t, "", "--help"); status != 0 || !strings.Contains(out, "query") {
		t.Errorf("--help: status %d\n%s", status, out)
	}
	count := fmt.Sprintf(`SELECT count(*) AS n FROM "%s"`, path)
	plan, _, _ := velo(t, "", "explain", count)
	for args, want := range map[string]string{
		count:                   "n\n4\n",
		"-- how many\n" + count: "n\n4\n",
		"/* how many */(" + strings.Replace(count, "SELECT count(*) AS n", "SELECT(count(*))AS n", 1) + ")": "n\n4\n",
		"EXPLAIN " + count:          plan,
		"-- how\nexplain\n" + count: plan,
		"VALUES":                    "", "nonsense of 3 words": "",
	} {
		out, errs, status := velo(t, "", args, "--format=csv")
		if out != want || (status == 0) != (want != "") {
			t.Errorf("%s: status %d, %s%s", args, status, out, errs)
		}
	}
	for statement, says := range map[string]string{
		"DESCRIBE t": "velo schema FILE", "FROM t": "begins with SELECT", "CREATE SOURCE s (a int)": "velo run",
	} {
		_, errs, status := velo(t, "", statement)
		if status != 1 || !strings.Contains(errs, says) {
			t.Errorf("%s: status %d, %s", statement, status, errs)
		}
	}
	for _, command := range []string{"", "query", "run", "state", "serve"} {
		args := strings.Fields(command)
		want, _, _ := velo(t, "", append(args, "--help")...)
		got, errs, status := velo(t, "", append([]string{"help"}, args...)...)
		if status != 0 || got != want || got == "" {
			t.Errorf("help %s: status %d, %s\n%s", command, status, got, errs)
		}
	}
}
