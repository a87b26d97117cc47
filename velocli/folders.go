package velocli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/state"
)

// A job that keeps its state has a folder for each source, which has the groups of all queries over
// the source at one epoch, and how far the source was read. A query is known in it by its name.
//
// Earlier versions made a folder for each query, named after the sink. A job that has such folders
// goes on with them: see durability.apart.

// sourcePrefix begins the names of the folders of sources. Names of folders of queries have no -.
const sourcePrefix = "source-"

// folderOfSource is the name of the folder of a source.
func folderOfSource(s *query.Source) string { return sourcePrefix + folderName(s.Name) }

// folderOf is the name of the folder that an earlier version made for a query.
func folderOf(o *query.Output) string {
	switch {
	case o.View != nil:
		return folderName(o.View.Name)
	case o.Sink == nil:
		return folderOfSelect
	}
	return folderName(o.Sink.Name)
}

// folderName is the name of a folder for a name of SQL. Names of SQL may have any characters,
// folders may not, and some file systems do not tell capitals from small letters. Other characters
// than small letters, digits and _ become % and two digits for each byte.
func folderName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z' && (i > 0 || name != folderOfSelect), c >= '0' && c <= '9', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// apart says whether the queries over a source have folders of their own, which an earlier version
// made. They go on with them, and each reads the source for itself, until the state begins anew.
func (d *durability) apart(job *query.Job, s *query.Source) bool {
	if d.State == "" || d.Fresh || state.Holds(filepath.Join(d.State, folderOfSource(s))) {
		return false
	}
	return slices.ContainsFunc(job.Outputs, func(o *query.Output) bool {
		return o.Source == s && state.Holds(filepath.Join(d.State, folderOf(o)))
	})
}

// stateOf is where the queries over a source keep their state, or where one query does whose folder
// is its own; it is nil if no state is kept.
func (d *durability) stateOf(job *query.Job, o *query.Output) *engine.State {
	if d.State == "" {
		return nil
	}
	folder := folderOfSource(o.Source)
	if d.apart(job, o.Source) {
		folder = folderOf(o)
	}
	s := &engine.State{
		Path: filepath.Join(d.State, folder), Interval: d.Checkpoint, Fresh: d.Fresh, Takeover: d.Takeover,
		SkipOutputs: map[string]uint64{},
	}
	for _, name := range d.RepeatOutput {
		s.RepeatOutputs = append(s.RepeatOutputs, queryName(name))
	}
	for name, number := range d.SkipOutputTo {
		s.SkipOutputs[queryName(name)] = number
	}
	return s
}

// queryName is the name of a query that an option has. The SELECT without a sink may be written in
// small letters.
func queryName(option string) string {
	if option == folderOfSelect {
		return nameOfSelect
	}
	return option
}

// putAside puts aside the states that an earlier version has made of the queries of a job which
// begins anew. Nothing goes on with them.
func (d *durability) putAside(job *query.Job) error {
	if d.State == "" || !d.Fresh {
		return nil
	}
	var faults []error
	for _, o := range job.Outputs {
		path := filepath.Join(d.State, folderOf(o))
		if !state.Holds(path) {
			continue
		}
		f, err := state.OpenFolder(path, state.Options{Fresh: true})
		if err == nil {
			// Without its lock it is the folder of no query any more.
			err = errors.Join(f.Close(), os.Remove(filepath.Join(path, "LOCK")))
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// A kept state is what the folder of a source had at the start.
type keptState struct {
	*engine.State
	// plans are the names of the queries that it had; nil if there was no generation.
	plans []string
	// newest is the generation that had them.
	newest uint64
	// groups has how many groups each had.
	groups map[string]int64
}

// look reads what a folder has. It may have nothing, and if something is wrong with it, the engine
// says so.
func (k *keptState) look() {
	if k.Fresh || !state.Holds(k.Path) {
		return
	}
	f, err := state.Inspect(k.Path)
	if err != nil {
		return
	}
	k.newest, k.groups = f.Newest.Generation, map[string]int64{}
	for i := range f.Newest.Plans {
		p := &f.Newest.Plans[i]
		k.plans = append(k.plans, p.Name)
		k.groups[p.Name] = p.Groups()
	}
}

// lacks says whether a query begins although the folder has others.
func (k *keptState) lacks(name string) bool { return k.plans != nil && !slices.Contains(k.plans, name) }

// settle compares the queries of an ingest with what its folder has, and says which may begin
// without history and which do not go on. The error says for each query what differs, and which
// option is the choice.
func (in *ingest) settle(d *durability) error {
	k := in.state
	if k == nil || in.alone {
		return nil
	}
	k.look()
	if k.plans == nil {
		return nil
	}
	var faults []error
	fault := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		faults = append(faults, fmt.Errorf("%s: %w: %s", k.Path, engine.ErrOtherPlan, text))
	}
	drop := "--drop-query %s gives"
	if d.anyNew { // a server has other words
		drop = "drop=true (velo apply --drop)%.0s gives"
	}
	mine := map[string]bool{}
	for _, f := range in.flows {
		mine[f.name] = true
		anew, dropped := d.isNew(f.name), named(d.DropQuery, f.name)
		switch {
		case dropped && !anew:
			fault("--drop-query %[1]s: the job has the query; --new-query %[1]s in addition has it begin anew", f.name)
		case k.lacks(f.name) && !anew:
			fault("it has no query %[1]s, but %[2]s: --new-query %[1]s has it begin with the records after generation "+
				"%[3]d, without what came before", f.name, strings.Join(k.plans, ", "), k.newest)
		}
		if anew {
			k.NewPlans = append(k.NewPlans, f.name)
		}
		if dropped && anew {
			k.DroppedPlans = append(k.DroppedPlans, f.name)
		}
	}
	for _, name := range k.plans {
		switch {
		case mine[name]:
		case d.isDropped(name):
			k.DroppedPlans = append(k.DroppedPlans, name)
		default:
			fault("it has the query %s, which the job has no more: "+drop+" up its %s groups", name, name,
				thousands(k.groups[name]))
		}
	}
	return errors.Join(faults...)
}

// isNew says whether a query may begin without history. A server has accepted all of a job.
func (d *durability) isNew(name string) bool { return d.anyNew || named(d.NewQuery, name) }

// isDropped says whether the groups of a query are given up that the job has no more.
func (d *durability) isDropped(name string) bool { return d.anyDropped || named(d.DropQuery, name) }

// named says whether a query is one of those that options name.
func named(options []string, name string) bool {
	return slices.ContainsFunc(options, func(option string) bool { return queryName(option) == name })
}

// checkNamed reports options that name no query of the job. Of a query that is dropped, the output
// may be named.
func (d *durability) checkNamed(job *query.Job) error {
	var faults []error
	check := func(flag, option string, others ...string) {
		is := func(o *query.Output) bool { return nameOf(o) == queryName(option) }
		if !slices.ContainsFunc(job.Outputs, is) && !slices.Contains(others, option) {
			faults = append(faults, cli.Misusef("%s %s: the job has no query of that name; a query is named after its "+
				"sink, or %s", flag, option, folderOfSelect))
		}
	}
	for _, option := range d.NewQuery {
		check("--new-query", option)
	}
	for _, option := range d.RepeatOutput {
		check("--repeat-output", option, d.DropQuery...)
	}
	for option := range d.SkipOutputTo {
		check("--skip-output-to", option, d.DropQuery...)
	}
	return errors.Join(faults...)
}

// queryFolder is the folder of a job that has the groups of a query; found is false if there is
// none.
func queryFolder(dir string, o *query.Output) (path string, found bool) {
	for _, name := range []string{folderOfSource(o.Source), folderOf(o)} {
		path := filepath.Join(dir, name)
		if state.Holds(path) {
			return path, true
		}
	}
	return "", false
}

// hasQuery says whether the newest generation of a folder has the groups of a query. If it has only
// one plan, made by an earlier version or by another program, its name does not matter.
func hasQuery(path string, o *query.Output) (bool, error) {
	f, err := state.Inspect(path)
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(filepath.Base(filepath.Clean(path)), sourcePrefix) && len(f.Newest.Plans) == 1 {
		return true, nil
	}
	return slices.ContainsFunc(f.Newest.Plans, func(p state.Plan) bool { return p.Name == nameOf(o) }), nil
}
