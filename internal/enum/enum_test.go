package enum

import "testing"

// Goal: a value has its name, and one that has none says what it is. Method: the values around the
// last name.
func TestName(t *testing.T) {
	names := []string{"one", "two"}
	for v, want := range []string{"one", "two", "Thing(2)"} {
		if got := Name(names, uint8(v), "Thing"); got != want {
			t.Errorf("value %d is %q, expected %q", v, got, want)
		}
	}
}
