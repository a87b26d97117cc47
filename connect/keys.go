package connect

import (
	"slices"
	"strings"
)

// KeyColumns are the columns of an option of a sink, such as key.columns = 'a, b', that make the
// keys of its rows. If rows replace earlier ones with their keys, an option that is not set stands
// for the columns that tell the rows of the result apart, and one that lacks one of them is an
// error.
func (r *SinkRequest) KeyColumns(option string, replace bool) (names []string, err error) {
	if r.Options.Has(option) {
		for _, name := range strings.Split(r.Options.Text(option), ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	switch {
	case !replace:
		return names, nil
	case len(names) == 0:
		return r.Keys, nil
	}
	for _, name := range r.Keys {
		if !slices.Contains(names, name) {
			return nil, r.Options.Errorf(option, "the key lacks column %q, so rows would replace rows of other groups",
				name)
		}
	}
	if len(r.Keys) == 0 {
		return nil, r.Options.Errorf(option, "the result has no columns that tell its rows apart")
	}
	return names, nil
}
