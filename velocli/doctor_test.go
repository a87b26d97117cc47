package velocli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/velo-engine/velo/connect"
)

// A probe for tests: its option says how bad what it finds is.
func init() {
	connect.RegisterProbe("testing", connect.Probe{
		Options: []connect.Option{
			{Name: "grade", Required: true},
			{Name: "wait", Kind: connect.Duration},
		},
		Run: func(ctx context.Context, o *connect.Options) ([]connect.Finding, error) {
			if o.Text("grade") == "error" {
				return nil, errors.New("no such thing")
			}
			_, ends := ctx.Deadline()
			if !ends {
				return nil, errors.New("no deadline")
			}
			return []connect.Finding{
				{Grade: connect.Fine, Check: "sky", Found: "it is <blue>"},
				{Grade: connect.Grade(o.Text("grade")), Check: "sea", Found: "it is wet", Advice: "take a towel"},
			}, nil
		},
	})
}

// Goal: velo doctor prints what a probe finds, for people and as JSON, and its status says whether
// something fails; a command line that is wrong is refused with what was expected.
func TestDoctor(t *testing.T) {
	const text = "sky: it is <blue>\n"
	for _, c := range []struct {
		args   string
		status int
		out    string
		err    string
	}{
		{"testing grade=ok", 0, "ok       " + text + "ok       sea: it is wet\n           take a towel\n", ""},
		{"testing grade=warning", 0, "warning  sea: it is wet", ""},
		{"testing grade=failed", 1, "failed   sea: it is wet", "velo: a job would not run"},
		{
			"testing grade=failed --json", 1, `{"system":"testing","failed":true,"findings":[{"grade":"ok"`,
			"would not run",
		},
		{"testing grade=error", 1, "", "velo: doctor: no such thing"},
		{"testing", 1, "", "option grade: it is missing"},
		{"testing grade=ok color=red", 1, "", "option color: there is no such option"},
		{"testing grade=ok wait=long", 1, "", `option wait: "long", expected a time`},
		{"testing grade", 1, "", `"grade", expected option=value`},
		{"testing grade=ok grade=ok", 1, "", "each option once"},
		{"testing grade=ok --timeout 0s", 1, "", "--timeout 0s: expected more than 0"},
		{"sea", 1, "", `nothing to look at "sea" with, expected one of `},
	} {
		var out, said bytes.Buffer
		status := run(append([]string{"doctor"}, strings.Fields(c.args)...), strings.NewReader(""), &out, &said)
		if status != c.status || !strings.Contains(out.String(), c.out) || !strings.Contains(said.String(), c.err) ||
			c.err == "" && said.Len() > 0 {
			t.Errorf("%s: status %d, %q, %q, expected %d, %q, %q", c.args, status, out.String(), said.String(),
				c.status,
				c.out, c.err)
		}
	}
	var out bytes.Buffer
	_ = run([]string{"doctor", "testing", "grade=warning", "--json"}, strings.NewReader(""), &out, &bytes.Buffer{})
	var got struct {
		Failed   bool
		Findings []connect.Finding
	}
	err := json.Unmarshal(out.Bytes(), &got)
	if err != nil || got.Failed || len(got.Findings) != 2 || got.Findings[1].Advice != "take a towel" {
		t.Errorf("%v: %s", err, out.String())
	}
}
