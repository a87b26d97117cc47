package cursors

import (
	"errors"
	"strings"
	"testing"
)

// Goal: a job goes on if its state and the cursor can belong together, and is refused with the
// reason otherwise. Method: a table.
func TestCheck(t *testing.T) {
	const second = 1_000_000_000
	for _, c := range []struct {
		name, saved string
		at          Note
		found       bool
		want        string
		back        bool
	}{
		{"a first start", "", Note{Window: None}, false, "", false},
		{"killed before the first save", "", Note{Window: None}, true, "", false},
		{"a state without windows", `{"window":-9223372036854775808}`, Note{Window: None}, false, "", false},
		{"as it was saved", `{"window":1000000000}`, Note{Window: second}, true, "", false},
		{"written after the save", `{"window":1000000000,"number":3}`, Note{Window: 5 * second}, true, "", false},
		{
			"the state is gone", "",
			Note{Window: second},
			true,
			"in the place says that windows up to 1970-01-01T00:00:01Z were written, and the state has nothing", false,
		},
		{"the cursor is gone", `{"window":1000000000}`, Note{Window: None}, false, "the place has no cursor", false},
		{
			"the output was restored", `{"window":2000000000}`,
			Note{Window: second},
			true,
			"up to 1970-01-01T00:00:02Z were written when the state was saved, and the cursor in the place says", true,
		},
		{
			"restored to the beginning", `{"window":9223372036854775807}`,
			Note{Window: None},
			true,
			"up to the end of the input were written", true,
		},
		{"a damaged state", `{"window":`, Note{Window: None}, false, "is damaged", false},
	} {
		var saved []byte
		if c.saved != "" {
			saved = []byte(c.saved)
		}
		err := Check(saved, c.at, c.found, "the place")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
		if errors.Is(err, ErrBack) != c.back {
			t.Errorf("%s: %v is ErrBack: %v", c.name, err, !c.back)
		}
	}
	if a := Incarnation(); len(a) != 16 || a == Incarnation() {
		t.Errorf("the incarnation %q", a)
	}
}
