package secret

import (
	"strings"
	"testing"
)

// Goal: no secret of a text is left, whatever is wrong with the text, and what is none stays as it
// is. Places stay right.
func TestHide(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"WITH (password = 'hunter2', path = 'f')", "WITH (password = *********, path = 'f')"},
		{"sasl.PASSWORD='it''s', x", "sasl.PASSWORD=*******, x"},
		{"password = 'hun'ter2', x = 1", "password = **********, x = 1"},
		{"password = 'hunter2", "password = ********"},
		{"password = hunter2)", "password = *******)"},
		{`"ssl.key.password" = 'a b'`, `"ssl.key.password" = *****`},
		{"passwd\n=\n'hunter2'\n)", "passwd\n=\n*********\n)"},
		{"client_secret = 'x' )", "client_secret = *** )"},
		{"password.file = '/etc/p'", "password.file = '/etc/p'"},
		{"password = env('P')", "password = env('P')"},
		{"url = 'postgres://me:hunter2@h/db'", "url = 'postgres://me:*******@h/db'"},
		{"url = 'postgres://me:hun@ter2@h/db'", "url = 'postgres://me:********@h/db'"},
		{"url = 'postgres://h/db?password=hunter2&x=1'", "url = 'postgres://h/db?password=*******&x=1'"},
		{"'host=h password=hunter2 dbname=d'", "'host=h password=******* dbname=d'"},
		{"SELECT pass, 'a' FROM t WHERE a = 'b'", "SELECT pass, 'a' FROM t WHERE a = 'b'"},
		{"path = 's3://bucket/key', at = '10:30'", "path = 's3://bucket/key', at = '10:30'"},
	} {
		got := Hide(c.text)
		if got != c.want || len(got) != len(c.text) {
			t.Errorf("%s\nis   %s\nwant %s", c.text, got, c.want)
		}
	}
}

// Goal: names and values that are secrets are known.
func TestNamedAndIn(t *testing.T) {
	for name, want := range map[string]bool{
		"password": true, "sasl.password": true, "client_secret": true, "password.file": false, "path": false,
		"token.file": false, "passage": false,
	} {
		if Named(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for value, want := range map[string]bool{
		"postgres://me:x@h": true, "postgres://me@h": false, "host=h password=x": true, "host=h": false, "": false,
		"http://h:80/a": false,
	} {
		if In(value) != want {
			t.Errorf("%s: %v", value, !want)
		}
	}
}

// FuzzHide: a quoted password that stands after its name is never left.
func FuzzHide(f *testing.F) {
	f.Add("hunter2", "CREATE SINK s WITH (a = 'b', ", ", c = 1)")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		if len(value) < 6 || strings.ContainsAny(value, "'\n*=") || strings.Contains(before+after, value) {
			return
		}
		text := before + " password = '" + value + "'" + after
		if got := Hide(text); len(got) != len(text) || strings.Contains(got, "'"+value+"'") {
			t.Errorf("%q is left in %q", value, got)
		}
	})
}

// Goal: a message has no values that are secrets, nor URLs with passwords.
func TestRedact(t *testing.T) {
	got := Redact(`"hunter2" is bad, and so is parse "x://me:other@h:p": invalid port; postgres://a:b@c`, "hunter2",
		"postgres://a:b@c")
	if want := `"***" is bad, and so is parse "x://me:*****@h:p": invalid port; postgres://a:*@c`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
