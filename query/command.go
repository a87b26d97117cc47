package query

import "github.com/velo-engine/velo/query/internal/syntax"

// A Command is a statement about the jobs of a server.
//
//	SHOW JOBS | SOURCES | SINKS | VIEWS
//	ALTER JOB name PAUSE | RESUME | RESTART | START | STOP | CHECKPOINT | ABORT
//	DROP JOB name
type Command struct {
	Verb   string // show, alter or drop
	Object string // jobs, sources, sinks or views; job for ALTER and DROP
	Name   string // of the job
	Action string // pause, resume, restart, start, stop, checkpoint or abort
}

// ParseCommand parses a text that is one command. It returns false if the text begins with the word
// of no command: it is a query, or nothing that this package knows.
func ParseCommand(text string) (c Command, is bool, err error) {
	s, is, err := syntax.ParseCommand(text)
	if s == nil {
		return Command{}, is, err
	}
	return Command{s.Verb, s.Object, s.Name, s.Action}, true, nil
}
