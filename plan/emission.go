package plan

import (
	"errors"
	"fmt"

	"github.com/velo-engine/velo/internal/enum"
)

// An Emission is what a writer gets of a plan with groups.
type Emission uint8

const (
	// EmitFinal gives each window once, when it has closed. If the plan has no windows, it gives
	// everything at the end.
	EmitFinal Emission = iota

	// EmitChanges gives, at each epoch, the groups that have changed since the last epoch that was
	// written, as they are now. A row begins with the column ChangeColumn: Upsert, or Delete if the
	// group passed Having at the last write and no longer does. A group whose shard has moved may
	// come although it has not changed. A slow writer gets fewer epochs, but it still gets the last
	// state of every group.
	EmitChanges
)

var emissionNames = []string{
	EmitFinal:   "final",
	EmitChanges: "changes",
}

// String is the name in SQL.
func (e Emission) String() string { return enum.Name(emissionNames, e, "Emission") }

const (
	// ChangeColumn is the first column of what is written of a plan that emits changes: a text,
	// Upsert or Delete.
	ChangeColumn = "op"

	// Upsert says that the row is the group as it is now.
	Upsert = "upsert"

	// Delete says that the group is not in the result any more; the row is what it would be in the
	// result.
	Delete = "delete"
)

// validate reports what the plan has that cannot be emitted like this.
func (e Emission) validate(p *Plan) (faults []error) {
	switch e {
	case EmitFinal:
		return nil
	case EmitChanges:
	default:
		return []error{fmt.Errorf("no emission %v", e)}
	}
	if len(p.OrderBy) > 0 || p.Limit != nil || p.Offset > 0 {
		faults = append(faults, errors.New(
			"changes are emitted group by group: OrderBy, Limit and Offset have no meaning for them"))
	}
	if len(p.Over) > 0 {
		faults = append(faults, errors.New("changes are emitted group by group: OVER would change all rows at once"))
	}
	if p.Distinct {
		faults = append(faults, errors.New("changes are emitted group by group: Distinct has no meaning for them"))
	}
	if p.hasSessions() {
		faults = append(faults, errors.New("sessions cannot be emitted as they change: a record may make one of two"))
	}
	if p.PassesThrough() {
		faults = append(faults, errors.New("records that pass through do not change"))
	}
	return faults
}
