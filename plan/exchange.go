package plan

import (
	"github.com/velo-engine/velo/internal/enum"
)

// An Exchange is how records come to the partitions. The result does not depend on it.
type Exchange uint8

const (
	// ExchangeAuto applies records in place if all partitions are on the reader's own thread.
	// Otherwise it folds. If folding has not reduced the records by much, it does as ExchangeDirect
	// for a while. It always does as ExchangeDirect if a route other than RouteByKey was asked for
	// by name, or if the plan sheds.
	ExchangeAuto Exchange = iota

	// ExchangeDirect applies a record in place if its partition is on the reader's own thread, and
	// sends it to its partition otherwise.
	ExchangeDirect

	// ExchangeFold aggregates on the reader's own core. It sends partial states to the partitions
	// when its table outgrows the limit, and at the end. So there is little to send, and a key that
	// is hot does not make a partition hot.
	ExchangeFold

	// ExchangeRoute sends every record to its partition through a ring, even if the partition is on
	// the reader's own thread.
	ExchangeRoute
)

var exchangeNames = []string{
	ExchangeAuto:   "auto",
	ExchangeDirect: "direct",
	ExchangeFold:   "fold",
	ExchangeRoute:  "route",
}

// String is the name.
func (x Exchange) String() string { return enum.Name(exchangeNames, x, "Exchange") }

// A StatePolicy is what happens when a plan's groups need more memory than they may have.
type StatePolicy uint8

const (
	// StateStop ends the plan with an error that says so.
	StateStop StatePolicy = iota

	// StateShed goes on with the groups that are there: records of other groups are dropped and
	// counted as shed. Such a plan never folds, because a partial state that finds no room would
	// not say how many records it stands for.
	StateShed
)

var statePolicyNames = []string{
	StateStop: "stop",
	StateShed: "shed",
}

// String is the policy as a word.
func (p StatePolicy) String() string { return enum.Name(statePolicyNames, p, "StatePolicy") }
