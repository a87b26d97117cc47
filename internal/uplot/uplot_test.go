package uplot

import (
	"bytes"
	"testing"
)

// Goal: the library can stand in a page as it is: nothing in it ends the element that it stands in.
func TestStandsInPage(t *testing.T) {
	for name, data := range map[string][]byte{"script": Script, "style": Style} {
		if len(data) < 1000 {
			t.Errorf("the %s has %d bytes", name, len(data))
		}
		for _, end := range []string{"</script", "</style", "]]>", "<!--"} {
			if bytes.Contains(bytes.ToLower(data), []byte(end)) {
				t.Errorf("the %s has %q", name, end)
			}
		}
	}
	if !bytes.Contains(Script, []byte("var uPlot=")) {
		t.Error("the script makes no global uPlot")
	}
}
