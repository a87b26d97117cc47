package connect

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var someOptions = []Option{
	{Name: "path", Required: true},
	{Name: "format", Values: []string{"csv", "json"}},
	{Name: "follow", Kind: Bool},
	{Name: "rows", Kind: Int},
	{Name: "every", Kind: Duration},
	{Name: "idle", Kind: Duration, OrZero: true},
	{Name: "size", Kind: Bytes},
	{Name: "delimiter", Kind: Char},
}

// Goal: options read as they are written.
func TestOptions(t *testing.T) {
	o, err := NewOptions(someOptions, map[string]string{
		"path": "x", "format": "json", "follow": "ON", "rows": "12", "every": "1 hour 30 minutes", "idle": "0s",
		"size": "1.5 MiB", "delimiter": `\t`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Text("path") != "x" || o.Text("format") != "json" || !o.Bool("follow") || o.Int("rows") != 12 ||
		o.Duration("every") != 90*time.Minute || !o.Has("idle") || o.Int("size") != 3<<19 ||
		o.Char("delimiter") != '\t' ||
		o.Has("nothing") {
		t.Errorf("%+v", o)
	}
}

// Goal: every fault of the options is said, with the option that has it.
func TestOptionFaults(t *testing.T) {
	for _, c := range []struct {
		set  map[string]string
		want []string
	}{
		{nil, []string{"option path: it is missing"}},
		{map[string]string{"path": "", "pat": "x"}, []string{"option pat: there is no such option"}},
		{map[string]string{"path": "x", "format": "xml"}, []string{`option format: "xml", expected one of csv, json`}},
		{
			map[string]string{
				"path": "x", "follow": "yes", "rows": "-1", "every": "0s", "idle": "-1s", "size": "many",
				"delimiter": "ab",
			},
			[]string{
				"option follow:", "option rows:", "option every:", "option idle:", "option size:", "option delimiter:",
			},
		},
	} {
		_, err := NewOptions(someOptions, c.set)
		if err == nil || strings.Count(err.Error(), "option ") < len(c.want) {
			t.Errorf("%v: %v", c.set, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, expected %s", c.set, err, want)
			}
		}
		if of := new(OptionError); !errors.As(err, &of) || of.Option == "" {
			t.Errorf("%v: %v is no OptionError", c.set, err)
		}
	}
}

// Goal: connectors are found by their names, and none replaces another.
func TestRegistry(t *testing.T) {
	var r Registry
	r.AddSource("b", Source{Options: someOptions})
	r.AddSource("a", Source{})
	r.AddSink("a", Sink{})
	if got := strings.Join(r.Sources(), " "); got != "a b" {
		t.Errorf("the sources are %s", got)
	}
	if got := strings.Join(r.Sinks(), " "); got != "a" {
		t.Errorf("the sinks are %s", got)
	}
	if s, ok := r.Source("b"); !ok || len(s.Options) != len(someOptions) {
		t.Errorf("b is %+v, %v", s, ok)
	}
	if _, ok := r.Sink("b"); ok {
		t.Error("there is a sink b")
	}
	for name, add := range map[string]func(){
		"a twice":        func() { r.AddSource("a", Source{}) },
		"a sink twice":   func() { r.AddSink("a", Sink{}) },
		"without a name": func() { r.AddSink("", Sink{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			add()
		}()
	}
}
