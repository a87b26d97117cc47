package plan

import (
	"slices"

	"github.com/velo-engine/velo/record"
)

// Bounds are what a reader may be told if it brings records to this plan and to no other, ever: see
// record.Skipper. It is empty if somebody could see that records are left out: if Where may fail
// for a record, or if the plan has windows that close while it runs. The plan must read the records
// itself: it has no From.
func (p *Plan) Bounds() []record.Bound {
	w := p.Window
	if p.From != nil || p.Where == nil || w != nil && (w.ProcessingTime || w.OutOfOrder != AnyOrder) {
		return nil
	}
	all := p.Where.Bounds()
	// Columns with higher numbers than the source has are of tables that records are joined with.
	return slices.DeleteFunc(all, func(b record.Bound) bool { return b.Column >= p.Source.Len() })
}
