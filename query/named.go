package query

import "github.com/velo-engine/velo/query/internal/syntax"

// expand has the query read the query of a view if its innermost FROM names one. It returns false
// if there is a fault.
func (j *jobCompiler) expand(q *syntax.Select) bool {
	seen := map[string]bool{}
	for {
		all := innermost(q)
		if len(all) > 1 {
			return j.expandNone(all)
		}
		inner := all[0]
		v := j.named[inner.From.Name]
		switch {
		case v == nil:
			return true
		case len(v.Options) > 0:
			return false // a fault of the view
		case seen[v.Name]:
			j.fault(v.Pos, "the view %q reads itself", v.Name)
			return false
		case inner.From.Window != nil:
			j.fault(inner.From.Pos, "%q is a view: write the window in GROUP BY, over one of its columns", v.Name)
			return false
		}
		if inner.From.Alias == "" {
			inner.From.Alias = v.Name
		}
		seen[v.Name] = true
		inner.From.Query, inner.From.Name = j.queryOf(v), ""
	}
}

// expandNone reports which of several SELECTs with set operations between them read a view:
// each of them reads the source itself.
func (j *jobCompiler) expandNone(all []*syntax.Select) bool {
	for _, q := range all {
		if j.named[q.From.Name] != nil {
			j.fault(q.From.Pos, "%q is a view, and %s", q.From.Name, armReads)
			return false
		}
	}
	return true
}

// queryOf parses the query of a view once more: each query that reads the view binds its own copy.
func (j *jobCompiler) queryOf(v *syntax.CreateView) *syntax.Select {
	all, _ := syntax.ParseAll(j.text)
	for _, s := range all {
		if again, ok := s.(*syntax.CreateView); ok && again.Pos == v.Pos {
			return again.As
		}
	}
	return v.As // it was parsed before
}

// checkNamed reports what is wrong with a view, whether or not a query reads it.
func (j *jobCompiler) checkNamed(v *syntax.CreateView) {
	if len(v.Options) > 0 {
		j.fault(v.Options[0].Pos, "a view has no options unless it is materialized: it is a name for its query")
		return
	}
	outputs := len(j.job.Outputs)
	j.output(nil, j.queryOf(v))
	j.job.Outputs = j.job.Outputs[:outputs]
}
