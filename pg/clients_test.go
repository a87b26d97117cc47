package pg_test

import (
	"context"
	"database/sql"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/velo-engine/velo/pg"
)

// run runs a program with a time limit, and gives what it prints.
func run(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=20", "LC_ALL=C.UTF-8", "PSQLRC=/dev/null", "PAGER=cat", "TZ=UTC")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Goal: psql runs, with all its commands that describe something.
func TestPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql")
	}
	h := serve(t, 20, pg.Config{})
	host, port, _ := net.SplitHostPort(h.addr)
	script := func(lines ...string) string {
		return run(
			t,
			time.Minute,
			psql,
			"-h",
			host,
			"-p",
			port,
			"-U",
			"velo",
			"-XA",
			"-v",
			"ON_ERROR_STOP=1",
			"-c",
			"select 1",
			"-f",
			write(t, strings.Join(lines, "\n")),
		)
	}
	all := script(
		`\d`,
		`\dt`,
		`\dv`,
		`\dm`,
		`\d+`,
		`\d volumes`,
		`\d+ volumes`,
		`\d public.sizes`,
		`\l`,
		`\l+`,
		`\du`,
		`\du+`,
		`\df`,
		`\dn`,
		`\dn+`,
		`\dT`,
		`\dT+`,
		`\di`,
		`\di+`,
		`\ds`,
		`\dp`,
		`\dO`,
		`\dx`,
		`\dy`,
		`\dF`,
		`\dFd`,
		`\dFp`,
		`\dFt`,
		`\des`,
		`\det`,
		`\dew`,
		`\deu`,
		`\dP`,
		`\drds`,
		`\dD`,
		`\dd`,
		`\db`,
		`\dL`,
		`\dc`,
		`\dC`,
		`\dRp`,
		`\dRs`,
		`\dX`,
		`\z`,
		`\do`,
		`\da`,
		`\dE`,
		`\dg`,
		`\dl`,
		`\dA`,
		`\dAc`,
		`\ddp`,
		`\d volumes_key`,
		`\dt+`,
		`\dm+`,
		`\conninfo`,
		`\dconfig server_version`,
	)
	for _, want := range []string{
		"public|volumes|materialized view|velo", "turnover|numeric(18,2)|||", `"volumes_key" UNIQUE, btree (symbol)`,
		"the volumes of the market", "server_version|15.0",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("psql does not show %q:\n%s", want, all)
		}
	}
	got := script(
		"begin;",
		"select count(*) from volumes;",
		"select symbol, n from public.volumes order by symbol limit 1",
		`\gset x_`,
		"commit;",
		`\copy (select symbol from volumes where n > 0 order by symbol limit 2) to stdout`,
		`select symbol from volumes where symbol = :'x_symbol' \gdesc`,
		"show views;",
		`\set FETCH_COUNT 7`,
		"select count(*) from sizes;",
		"select symbol from sizes;",
	)
	if n := strings.Count(got, "\nS"); n < 22 {
		t.Errorf("psql shows %d rows:\n%s", n, got)
	}
}

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "script")
	must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// Goal: lib/pq reads views, with parameters, in transactions and in both formats.
func TestLibPQ(t *testing.T) {
	h := serve(t, 20, pg.Config{})
	for _, options := range []string{"", "&binary_parameters=yes"} {
		db, err := sql.Open("postgres", h.url()+options)
		must(t, err)
		var (
			n   int64
			at  time.Time
			avg float64
		)
		err = db.QueryRow("SELECT n, last_at, avg_price FROM volumes WHERE symbol = $1", "S7").Scan(&n, &at, &avg)
		if err != nil || n != 1 || avg != 7.25 || at.UTC().Second() != 7 {
			t.Errorf("%q: %d, %v, %v; %v", options, n, at, avg, err)
		}
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
		must(t, err)
		rows, err := tx.Query("SELECT symbol FROM volumes WHERE n >= $1", 1)
		must(t, err)
		count := 0
		for rows.Next() {
			count++
		}
		must(t, rows.Err())
		must(t, tx.Commit())
		if count != 20 {
			t.Errorf("%q: %d rows", options, count)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = db.ExecContext(ctx, "SELECT pg_sleep(60)")
		cancel()
		if err == nil {
			t.Errorf("%q: a statement is not cancelled", options)
		}
		must(t, db.Close())
	}
}

// expectation is what the programs in testdata/clients print of a view.
var expectation = []string{"S1 1 1.25 1.25", "parameters 6", "error 42703"}

// Goal: pgjdbc reads views and describes them. Its jar is VELO_PGJDBC, or Maven fetches it with
// VELO_PGJDBC=fetch; without it the test is skipped.
func TestJDBC(t *testing.T) {
	jar := os.Getenv("VELO_PGJDBC")
	if jar == "" {
		t.Skip("VELO_PGJDBC is not set: make pg-test sets it")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("there is no java")
	}
	if jar == "fetch" {
		jar = fetchJar(t)
	}
	h := serve(t, 20, pg.Config{})
	out := run(
		t,
		2*time.Minute,
		java,
		"-cp",
		jar,
		"testdata/clients/Jdbc.java",
		"jdbc:postgresql://"+h.addr+"/velo",
		"velo",
		"volumes",
	)
	for _, want := range append(expectation, "fetch size 1: 20", "fetch size 11: 20", "valid true public velo 4 15",
		"null|public|volumes|MATERIALIZED VIEW", "|turnover|2|numeric|18|", "|volumes_key|3|1|symbol|", "keys: 0") {
		if !strings.Contains(out, want) {
			t.Errorf("pgjdbc does not print %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "Exception") {
		t.Error(out)
	}
}

// pgjdbc is the version that is fetched.
const pgjdbc = "42.7.4"

// fetchJar has Maven fetch pgjdbc into the user's cache. The test is skipped if it cannot.
func fetchJar(t *testing.T) string {
	cache, err := os.UserCacheDir()
	must(t, err)
	dir := filepath.Join(cache, "velo", "pgjdbc")
	jar := filepath.Join(dir, "postgresql-"+pgjdbc+".jar")
	_, err = os.Stat(jar)
	if err == nil {
		return jar
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip("there is neither pgjdbc nor Maven")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy", "-Dartifact=org.postgresql:postgresql:"+pgjdbc,
		"-DoutputDirectory="+dir)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("Maven does not fetch pgjdbc: %v\n%s", err, out)
	}
	return jar
}

// Goal: the libraries of Python read views. VELO_PYTHON is a Python that has them; otherwise
// python3 is asked. Those that it does not have are skipped.
func TestPython(t *testing.T) {
	python := os.Getenv("VELO_PYTHON")
	if python == "" {
		python = "python3"
	}
	for _, test := range []struct {
		script  string
		modules []string
		want    []string
	}{
		{
			"psycopg3.py",
			[]string{"psycopg"},
			[]string{
				"in a transaction 20 INTRANS", "after it IDLE", "a cursor 20", "copied 20", "stream 20",
				"a pipeline 20",
			},
		},
		{"asyncpg_client.py", []string{"asyncpg"}, []string{"a cursor 20", "catalog volumes ['a', None]"}},
		{
			"sqlalchemy_client.py",
			[]string{"sqlalchemy", "psycopg"},
			[]string{"views True", "n:BIGINT", "turnover:NUMERIC(18, 2)", "indexes volumes_key"},
		},
	} {
		t.Run(test.script, func(t *testing.T) {
			err := exec.Command(python, "-c", "import "+strings.Join(test.modules, ", ")).Run()
			if err != nil {
				t.Skipf("%s does not have %v", python, test.modules)
			}
			h := serve(t, 20, pg.Config{})
			out := run(t, time.Minute, python, "testdata/clients/"+test.script, h.url(), "volumes")
			for _, want := range append(test.want, expectation...) {
				if !strings.Contains(out, want) {
					t.Errorf("it does not print %q:\n%s", want, out)
				}
			}
		})
	}
}
