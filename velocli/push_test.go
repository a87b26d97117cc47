package velocli

import (
	"strings"
	"testing"
	"time"
)

const pushedView = `CREATE SOURCE o (k text NOT NULL, n bigint) WITH (connector = 'push');
CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(n) AS s FROM o GROUP BY k;`

// Goal: bodies of CSV are records, by the names of their header or in order, and say which lines
// are none, or take nothing then.
func TestPushCSV(t *testing.T) {
	s := serveHere(t, &serveCmd{State: t.TempDir()})
	s.wants(201, `"running"`, "PUT", "/v1/jobs/j?wait=30s", pushedView)
	const to = "/v1/sources/o/records?sync=true"
	s.wants(200, `"taken":2`, "POST", to, "n,extra,K\n1,x,a\n2,\"y\nz\",a\n", "Content-Type: text/csv")
	s.wants(200, `"taken":1`, "POST", to, "a,5\n", "Content-Type: text/csv; header=absent")
	body := s.wants(200, `"taken":1`, "POST", to, "k,n\n\"a\",\"1\"\n\"multi\nline\",x\n\nb\n",
		"Content-Type: text/csv; charset=utf-8")
	for _, has := range []string{`"rejected":2`, `"line":3`, `"line":6`} {
		if !strings.Contains(body, has) {
			t.Errorf("%s, expected %s", body, has)
		}
	}
	s.wants(422, `"line":3`, "POST", to+"&atomic=true", "k,n\na,1\na,x\n", "Content-Type: text/csv")
	s.wants(400, "expected k too", "POST", to, "n,m\n1,2\n", "Content-Type: text/csv")
	s.wants(200, `"taken":0`, "POST", to, "", "Content-Type: text/csv")
	s.wants(200, `"taken":2`, "POST", to, "k,n\na,0\na,0\n", "Content-Type: text/csv", "Velo-Producer: p",
		"Velo-Sequence: 1")
	s.wants(200, `"duplicates":1`, "POST", to, "k,n\na,0\na,0\n", "Content-Type: text/csv", "Velo-Producer: p",
		"Velo-Sequence: 2")
	s.wants(200, `a,7,9`, "GET", "/v1/views/v", "", "Accept: text/csv")
}

// Goal: without a generation in time an answer with durable says that there is none, and the
// records are taken.
func TestPushNotDurable(t *testing.T) {
	slow := serveHere(t, &serveCmd{State: t.TempDir(), Checkpoint: time.Hour})
	slow.wants(201, `"running"`, "PUT", "/v1/jobs/j?wait=30s", pushedView)
	slow.wants(202, `"durable":false`, "POST", "/v1/sources/o/records?durable=true&wait=200ms", `{"k":"a","n":1}`)
	slow.wants(400, "wait=", "POST", "/v1/sources/o/records?durable=true&wait=x", `{"k":"a","n":1}`)
	slow.wants(200, `a,1,1`, "GET", "/v1/views/v", "", "Accept: text/csv")
}
