package server

import (
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
)

// Inside is a running job that shows what it consists of. What a Runner of package job starts is
// one, if the server shall show its statistics, push to its sources and show its rejects.
type Inside interface {
	job.Running
	// Engines are the engines of the job, one or several.
	Engines() []Engine
	// Push is the source of a name that records are pushed to; nil if there is none.
	Push(source string) *push.Source
	// Rejects are the newest records that could not be read, the oldest first, and how many there
	// have been.
	Rejects() (newest []Reject, all uint64)
}

// An Engine is an engine of a job, or of a service.
type Engine struct {
	// Name is what the engine is called: the view or the sink that it makes; several with commas.
	Name   string
	Source string
	Engine *engine.Engine
	// Plans are the names of its plans, in their order: views and sinks. A plan without one is
	// called by Name.
	Plans []string
	// View says that groups are read by the name of a plan.
	View bool
}

// A Reject is a record that could not be read.
type Reject struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Place  string    `json:"place"`
	Reason string    `json:"reason"`
	Bytes  string    `json:"bytes"`
}

// MaxRejects is how many rejects of a job are kept.
const MaxRejects = 1000
