package plan

import (
	"errors"
	"fmt"

	"github.com/velo-engine/velo/internal/enum"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
)

// A Routing says which partition a record goes to. The result is the same for all of them: groups
// that more than one partition has are merged when they are published.
type Routing uint8

const (
	// RouteAuto is RouteByKey, with two exceptions. For a plan without keys, all of whose records
	// would go to one partition, it is RouteRoundRobin. For a plan that passes records through it
	// is RouteAligned, which keeps the records of a reader in their order.
	RouteAuto Routing = iota

	// RouteByKey sends all records of a group to the partition that owns its shard.
	RouteByKey

	// RouteAligned sends all records of reader i to partition i, modulo the number of partitions.
	// It is for sources that are divided by the group key already: records stay on their core.
	RouteAligned

	// RouteRoundRobin sends one stripe after the other, to each partition in turn. It skips
	// partitions whose ring is full.
	RouteRoundRobin

	// RouteCustom asks a RouteFunc.
	RouteCustom
)

var routingNames = []string{
	RouteAuto:       "auto",
	RouteByKey:      "by key",
	RouteAligned:    "aligned",
	RouteRoundRobin: "round robin",
	RouteCustom:     "custom",
}

// String is the name.
func (r Routing) String() string { return enum.Name(routingNames, r, "Routing") }

// A RouteContext is some consecutive rows of a batch that a RouteFunc routes together. It is valid
// during the call.
type RouteContext struct {
	// Reader is the reader of the batch.
	Reader ReaderID
	// Partitions is the number of partitions.
	Partitions int

	// Batch has the rows of this context: First, First+1, and so on, as many as Hashes has.
	Batch *record.Batch
	First int

	// Hashes has the hash of the group key of each row. It is random per process, and 0 for a
	// record without its key.
	Hashes []uint64

	// Partition is what the function fills: where each row goes, less than Partitions.
	Partition []uint32
}

// A RouteFunc fills c.Partition. It runs on the thread of the reader, must not block, and keeps
// nothing of c. Readers call it at the same time. A panic, or a partition that does not exist,
// fails the plan.
type RouteFunc func(c *RouteContext)

// Route is a routing with what it needs.
type Route struct {
	Routing Routing
	Func    RouteFunc // the function for RouteCustom
}

// Validate says what is wrong with a route for a plan.
func (r Route) Validate(plan *Plan) error {
	switch {
	case r.Routing > RouteCustom:
		return fmt.Errorf("plan: no routing %v", r.Routing)
	case r.Routing == RouteCustom && r.Func == nil:
		return errors.New("plan: custom routing without a function")
	case r.Routing != RouteCustom && r.Func != nil:
		return fmt.Errorf("plan: a function for routing %v, which takes none", r.Routing)
	case r.For(plan).Scatters() && plan.hasSessions():
		return fmt.Errorf("plan %s: sessions need all records of a key in one partition: routing %v does "+
			"not do that", plan.name(), r.Routing)
	}
	return nil
}

// For is the route for a plan, with RouteAuto decided.
func (r Route) For(plan *Plan) Route {
	if r.Routing == RouteAuto {
		r.Routing = RouteByKey
		switch {
		case plan.PassesThrough():
			r.Routing = RouteAligned // the records of a reader stay in their order
		case len(plan.Keys) == 0 && !plan.hasSessions() && !plan.hasTuples():
			r.Routing = RouteRoundRobin
		}
	}
	return r
}

func (p *Plan) hasSessions() bool { return p.Window != nil && p.Window.Kind == window.Session }

// Scatters says whether one group may be in several partitions.
func (r Route) Scatters() bool { return r.Routing != RouteByKey }

// A ReaderID numbers the readers of an engine from 0.
type ReaderID uint32

// A PartitionID numbers the partitions of an engine from 0.
type PartitionID uint32

// Shards is the number of pieces that the key space is cut into, by the top bits of the hash.
const Shards = 256

// MaxPartitions bounds the partitions of an engine: each owns at least one shard.
const MaxPartitions = Shards
