package velocli

import (
	"os"
	"strings"
	"testing"
)

// jobOfVisits joins visits.csv with pages.csv; options are the options of the table besides its
// path.
func jobOfVisits(options string) string {
	return `CREATE SOURCE visits (page bigint, ms bigint) WITH (connector = 'file', path = 'visits.csv');
CREATE TABLE pages (id bigint, title text, PRIMARY KEY (id)) WITH (` + options + `);
SELECT p.title, sum(v.ms) AS ms FROM visits AS v LEFT JOIN pages AS p ON v.page = p.id GROUP BY p.title ORDER BY ms`
}

// Goal: a job joins its source with a table, from files of each format and from standard input, and
// says what was not found.
func TestRunTable(t *testing.T) {
	inFolder(t, map[string]string{
		"visits.csv":   "page,ms\n1,10\n2,20\n1,5\n7,3\n,1\n",
		"pages.csv":    "id,title\n1,home\n2,\"help, and more\"\n",
		"pages.tsv":    "title\tid\nhome\t1\n\"help, and more\"\t2\n",
		"pages.ndjson": `{"id":1,"title":"home"}` + "\n" + `{"title":"help, and more","id":2}` + "\n",
	})
	for options, stdin := range map[string]string{
		"connector = 'file', path = 'pages.csv'":    "",
		"connector = 'file', path = 'pages.tsv'":    "",
		"connector = 'file', path = 'pages.ndjson'": "",
		"connector = 'stdin', format = 'csv'":       "id,title\n1,home\n2,\"help, and more\"\n",
	} {
		if err := os.WriteFile("job.sql", []byte(jobOfVisits(options)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, status := velo(t, stdin, "run", "job.sql", "--format=csv")
		if out != "title,ms\n,4\nhome,15\n\"help, and more\",20\n" || status != 0 {
			t.Errorf("%s: status %d\n%s", options, status, out)
		}
		if errs != "velo: table pages: 1 of 4 records found no row, such as 7\n" {
			t.Errorf("%s: said %q", options, errs)
		}
	}
	_, errs, _ := velo(t, "", "run", "job.sql", "--check")
	if errs != "" {
		t.Errorf("--check has loaded the table: %s", errs)
	}
}

// Goal: what is wrong with a table is said before anything runs, with its place.
func TestRunTableFaults(t *testing.T) {
	inFolder(t, map[string]string{
		"visits.csv": "page,ms\n1,10\n", "twice.csv": "id,title\n1,a\n2,b\n1,c\n", "bad.csv": "id,title\n1,a\nx,b\n",
		"quoted.csv": "id,title\n1,\"a\nb\"\n2,b\n1,c\n",
	})
	for options, want := range map[string]string{
		"connector = 'file', path = 'quoted.csv'":                                                         "the key 1 comes twice, in record 1 and record 3",
		"connector = 'file', path = 'twice.csv'":                                                          "the key 1 comes twice, in line 2 and line 4",
		"connector = 'file', path = 'bad.csv'":                                                            "line 3: ",
		"connector = 'file', path = 'none.csv'":                                                           "none.csv",
		"connector = 'file', path = 'twice.csv', follow = true":                                           "is loaded to its end, and this source has none",
		"connector = 'stdin', refresh = '1 s'":                                                            "standard input can be read once",
		"connector = 'file', path = 'twice.csv', max.stale = '1 s'":                                       "max.stale must be longer than refresh",
		"connector = 'file', path = 'twice.csv', refresh = '2 s', max.stale = '1 s'":                      "max.stale must be longer than refresh",
		"connector = 'file', path = 'twice.csv', refresh = '2 s', on.stale = 'fail'":                      "the table never becomes stale",
		"connector = 'file', path = 'twice.csv', refresh = '2 s', max.stale = '9 s', on.stale = 'ignore'": "on.stale",
		"connector = 'file', path = 'twice.csv', refesh = '2 s'":                                          `did you mean "refresh"?`,
		"connector = 'tcp', address = '127.0.0.1:0'":                                                      "this source has none",
	} {
		if err := os.WriteFile("job.sql", []byte(jobOfVisits(options)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, status := velo(t, "", "run", "job.sql")
		if status != 1 || !strings.Contains(errs, want) || out != "" {
			t.Errorf("%s: status %d, expected %q:\n%s%s", options, status, want, out, errs)
		}
	}
	job := "CREATE SOURCE v (a bigint) WITH (connector = 'file', path = 'visits.csv');\n" +
		"CREATE SOURCE w (a bigint) WITH (connector = 'file', path = 'visits.csv');\n"
	for text, want := range map[string]string{
		job + "SELECT count(*) FROM v JOIN w ON v.a = w.a": `"w" is a source: records are joined with the rows of a table`,
		job + "CREATE TABLE x (a bigint, PRIMARY KEY (b)) WITH (connector = 'file', path = 'a'); SELECT count(*) " +
			"FROM v JOIN x ON v.a = x.a": `PRIMARY KEY: there is no column "b"`,
		job + "CREATE TABLE x (a bigint PRIMARY KEY, b bigint PRIMARY KEY) WITH (connector = 'file', path = 'a'); " +
			"SELECT count(*) FROM v": "PRIMARY KEY is given twice",
		job + "CREATE TABLE x (a bigint PRIMARY KEY) WITH (connector = 'file', path = 'a'); SELECT count(*) FROM x": `"x" is a table`,
		job + "CREATE TABLE v (a bigint PRIMARY KEY) WITH (connector = 'file', path = 'a'); SELECT count(*) FROM v": `"v" is there already`,
	} {
		if err := os.WriteFile("job.sql", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, status := velo(t, "", "run", "job.sql"); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s\nstatus %d, expected %q:\n%s", text, status, want, errs)
		}
	}
}

// Goal: a view is a name for its query, which several queries and other views may read.
func TestRunView(t *testing.T) {
	inFolder(t, map[string]string{
		"visits.csv": "page,ms\n1,10\n2,20\n1,5\n7,3\n2,1\n7,0\n",
	})
	job := `CREATE SOURCE visits (page bigint, ms bigint) WITH (connector = 'file', path = 'visits.csv');
CREATE VIEW pages AS SELECT page, count(*) AS n, sum(ms) AS ms FROM long GROUP BY page;
CREATE VIEW long AS SELECT page, ms FROM visits WHERE ms > 0;
CREATE SINK counts WITH (connector = 'file', path = 'counts.csv');
INSERT INTO counts SELECT n, count(*) AS pages FROM pages GROUP BY n ORDER BY n;
SELECT p.page, p.ms FROM pages AS p WHERE p.n > 1 ORDER BY ms`
	if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status := velo(t, "", "run", "job.sql", "--format=csv")
	if status != 0 || errs != "" || out != "page,ms\n1,15\n2,21\n" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	want(t, "counts.csv", "n,pages\n1,1\n2,2\n")
}

// Goal: velo query joins its input with other files, whose key is what ON compares, and says what
// is wrong with them.
func TestQueryJoin(t *testing.T) {
	inFolder(t, map[string]string{
		"visits.csv": "page,lang,ms\n1,en,10\n2,en,20\n1,de,5\n7,en,3\n",
		"titles.csv": "id,lang,title\n1,en,home\n1,de,Start\n2,en,help\n",
		"pages.json": `{"id":1,"weight":0.5}` + "\n" + `{"id":2,"weight":2}` + "\n",
		"wrong.csv":  "id,n\n1,1\n1,2\n",
	})
	for sql, want := range map[string]string{
		`SELECT t.title, v.ms FROM 'visits.csv' AS v JOIN 'titles.csv' AS t ON v.page = t.id AND t.lang = v.lang`:                               "title,ms\nhome,10\nhelp,20\nStart,5\n",
		`SELECT title, ms FROM 'visits.csv' JOIN 'titles.csv' t USING (lang) WHERE false`:                                                       "",
		`SELECT sum(ms * weight) AS w FROM 'visits.csv' LEFT JOIN 'pages.json' ON page = id`:                                                    "w\n47.5\n",
		`SELECT count(*) AS n FROM stdin JOIN 'pages.json' ON page = id; SELECT max(weight) AS w FROM stdin JOIN 'pages.json' p ON p.id = page`: "n\n3\n\nw\n2\n",
	} {
		stdin, err := os.ReadFile("visits.csv")
		if err != nil {
			t.Fatal(err)
		}
		out, errs, status := velo(t, string(stdin), "query", "--format=csv", sql)
		if want == "" {
			if status != 1 || !strings.Contains(errs, "comes twice") {
				t.Errorf("%s: status %d\n%s%s", sql, status, out, errs)
			}
			continue
		}
		if out != want || status != 0 {
			t.Errorf("%s: status %d\n%s%s", sql, status, out, errs)
		}
	}
	for sql, want := range map[string]string{
		`SELECT count(*) FROM 'visits.csv' JOIN 'none.csv' ON page = id`:                                                                  "JOIN none.csv: ",
		`SELECT count(*) FROM 'visits.csv' JOIN stdin ON page = id`:                                                                       "a table is a file",
		`SELECT count(*) FROM 'visits.csv' JOIN 'pages.json' ON page > id`:                                                                "ON compares no column of it",
		`SELECT count(*) FROM 'visits.csv' JOIN 'wrong.csv' ON page = id`:                                                                 "the key 1 comes twice, in line 2 and line 3",
		`SELECT count(*) FROM 'visits.csv' v JOIN 'titles.csv' a ON page = a.id JOIN 'titles.csv' b ON v.page = b.id AND b.lang = v.lang`: "a table has one key",
	} {
		if out, errs, status := velo(t, "", "query", sql); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, expected %q\n%s%s", sql, status, want, out, errs)
		}
	}
}
