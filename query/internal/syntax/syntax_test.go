package syntax

import (
	"fmt"
	"testing"
)

func TestX(t *testing.T) {
	for _, s := range []string{
		"select a, b as c from trades where a > 1 group by a, tumble(at, interval '10 s') order by a desc limit 5 emit changes",
		"SELECT a FORM t", "SELECT a FROM t WHRE x > 1", "SELECT a FROM t WHERE x > 1 y", "SELECT FROM t", "SELECT a b c FROM t", "", "SELCT a from t",
		"SELECT count(a FROM t", "SELECT count(a", "SELECT a FROM t LIMIT x", "SELECT a = b = c FROM t", "CREATE SORCE x", "SELECT a FROM", "SELECT a",
		"CREATE SOURCE s (a int, WATERMARK FOR a AS a - INTERVAL '5 s') WITH (connector='file', a.b.c = 5)", "CREATE SOURCE s (a int b)", "CREATE SINK x",
		"SELECT a FROM t GROUP a", "SELECT a FROM t EMIT", "SELECT a FROM a, b", "SELECT x BETWEEN 1 AND 2 AND y, - - a, a - -b, (a+b)*c, a+(b*c), NOT (a AND b) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(at), INTERVAL '10' MINUTES)) x",
	} {
		all, err := Parse(s)
		fmt.Println(all, err)
	}
}
