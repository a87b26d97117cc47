package golden

import (
	"strings"
	"testing"
)

// Goal: a file is read as it is written, and its cases are what they look like.
func TestParse(t *testing.T) {
	text := strings.ReplaceAll(`# What this is about.

first a BQb cBQd  e
one

two
----
out

# Second.
second
----
----
out

more
----
----

third
----

fourth
----
end
# The rest.
`, "BQ", "`")
	cases, rest, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Case{
		{Name: "first a `b c`d  e", Input: "one\n\ntwo\n", Line: 3, want: "out\n"},
		{Name: "second", Line: 11, want: "out\n\nmore\n"},
		{Name: "third", Line: 20},
		{Name: "fourth", Line: 23, want: "end\n# The rest.\n"},
	}
	if len(cases) != len(want) {
		t.Fatalf("%d cases, expected %d", len(cases), len(want))
	}
	var b strings.Builder
	for i, c := range cases {
		w := want[i]
		w.before = c.before
		if *c != w {
			t.Errorf("case %d is %+v, expected %+v", i, *c, w)
		}
		c.format(&b, c.want)
	}
	if got := b.String() + rest; got != text {
		t.Errorf("written again it is\n%s", got)
	}
	if got := strings.Join(cases[0].Args(), ","); got != "first,a,b cd,e" || cases[0].Command() != "first" {
		t.Errorf("%q", got)
	}
}

// Goal: a file that breaks off is refused.
func TestBroken(t *testing.T) {
	for _, text := range []string{"a\n", "a\ninput\n---\n", "a\n----\n----\nout\n----\n", "a\n----\n----\nout\n"} {
		if _, _, err := parse(text); err == nil || !strings.Contains(err.Error(), "line 1: a: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
