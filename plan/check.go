package plan

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// mayBeNull says whether the result of an aggregate may be NULL.
func (a *Aggregate) mayBeNull() bool {
	switch a.Func {
	case Count, RegrCount, ApproxCountDistinct, ApproxCountDistinctMerge, ApproxCountDistinctState,
		ApproxCountDistinctMergeState, ApproxPercentileState, ApproxPercentileMergeState:
		return false
	}
	return true
}

// A check is what an aggregate asks of the texts of its argument. A record that breaks it is set
// aside.
type check struct {
	what string // of the text, in messages
	text func(string) error
}

// check returns what an aggregate asks of the texts of its argument, and false if it asks nothing.
func (a *Aggregate) check() (check, bool) {
	state := agg.CheckState(a.Func)
	most := 0
	switch {
	case state != nil:
		return check{fmt.Sprintf("the argument of %v, %s,", a.Func, a.Column), func(text string) error {
			err := state(text)
			if err != nil {
				err = fmt.Errorf("is no state to merge: %w", err)
			}
			return err
		}}, true
	case a.Func == ApproxTopK:
		most = agg.MaxTopText
	case a.Func == ReservoirSample && a.K > 0:
		most = agg.MaxSampleText(a.K)
	default:
		return check{}, false
	}
	return check{fmt.Sprintf("the argument of %v, %s,", a.Func, a.Column), func(text string) error {
		if len(text) > most {
			return fmt.Errorf("has %d bytes, at most %d can be kept: shorten it with left(...)", len(text), most)
		}
		return nil
	}}, true
}

// checks says whether some aggregate asks something of its argument.
func (p *Plan) checks() bool {
	return slices.ContainsFunc(p.Aggregates, func(a Aggregate) bool {
		_, ok := a.check()
		return ok
	})
}

// addChecks has the records set aside whose texts are not what the aggregates ask for.
func (p *Plan) addChecks(outputs []expr.Output) (err error) {
	for i := range p.Aggregates {
		a := &p.Aggregates[i]
		c, ok := a.check()
		at := slices.IndexFunc(outputs, func(o expr.Output) bool { return o.Name == a.Column })
		if !ok || at < 0 || outputs[at].Expr.Type() != record.String {
			continue
		}
		outputs[at].Expr, err = expr.Checked(c.what, outputs[at].Expr, c.text)
		if err != nil {
			return err
		}
	}
	return nil
}
