package plan

import (
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

const (
	// GroupingColumn is the column that tells the groups of different Sets apart: the number of the
	// set times 1<<32, and the bit 1<<i if key i is not in the set.
	GroupingColumn = "grouping_set"

	// MaxSets bounds the sets of a plan, and maxSetKeys the keys that they are made of.
	MaxSets    = 256
	maxSetKeys = 31
)

// mayBeEmpty says whether there is a group before any record, so that its states must be able to
// say NULL: the one of a plan without keys, or the one of a set without keys.
func (p *Plan) mayBeEmpty() bool {
	return len(p.Keys) == 0 || p.bare || slices.ContainsFunc(p.Sets, func(s []string) bool { return len(s) == 0 })
}

// bindSets makes the sets of keys, and the column that tells them apart.
func (l *compiler) bindSets() {
	p := l.plan
	if p.Sets == nil {
		return
	}
	if len(p.Sets) > MaxSets || len(p.Sets) == 0 || len(p.Keys) > maxSetKeys {
		l.fault("%d sets of %d keys, expected 1 to %d of at most %d", len(p.Sets), len(p.Keys), MaxSets, maxSetKeys)
		return
	}
	for n, names := range p.Sets {
		s := layout.GroupingSet{Keep: make([]bool, len(p.Keys)), Mark: uint64(n) << 32}
		for _, name := range names {
			if i := slices.Index(p.Keys, name); i >= 0 {
				s.Keep[i] = true
			} else {
				l.fault("set %d: %q is not one of the keys", n, name)
			}
		}
		for i, kept := range s.Keep {
			if !kept {
				s.Mark |= 1 << i
			}
		}
		l.Sets = append(l.Sets, s)
	}
	for i := range l.fields[l.Front:] {
		l.fields[l.Front+i].Nullable = true
	}
	l.fields = append(l.fields, record.Field{Name: GroupingColumn, Type: record.Int64})
	if p.Emit == EmitChanges {
		l.fault("sets of keys are not emitted as they change: a record changes a group of each")
	}
}

// keyLayout is the layout of the keys.
func (l *compiler) keyLayout() (*groupkey.Layout, error) {
	if l.plan.Sets == nil {
		return groupkey.NewLayout(l.Source, l.keys)
	}
	fields := l.fields[l.Front : l.Front+len(l.keys)+1]
	schema, err := record.NewSchema(l.Name, fields...)
	if err != nil {
		return nil, err
	}
	all := make([]int, len(fields))
	for i := range all {
		all[i] = i
	}
	return groupkey.NewLayout(schema, all)
}

// setsText is the sets as SQL would say them.
func (p *Plan) setsText() string {
	var all []string
	for _, s := range p.Sets {
		all = append(all, "("+strings.Join(s, ", ")+")")
	}
	text := "GROUPING SETS (" + strings.Join(all, ", ") + ")"
	if w := p.Window; w != nil {
		text += ", " + w.Windows.String()
	}
	return text
}
