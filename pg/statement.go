package pg

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/pg/catalog"
	"github.com/velo-engine/velo/record"
)

// split gives the statements of a text.
func split(text string) ([][]catalog.Token, error) {
	if !utf8.ValidString(text) {
		return nil, errorf(codeBadEncoding, "invalid byte sequence for encoding \"UTF8\"")
	}
	return catalog.Split(text)
}

// command is a statement that gives no rows.
func command(tag string, do func(ctx context.Context) error) *prepared {
	return &prepared{run: func(ctx context.Context, _ []any) (*result, error) {
		err := do(ctx)
		if err != nil {
			return nil, err
		}
		return &result{tag: tag}, nil
	}}
}

// memory is a statement whose rows are made when it runs.
func memory(tag string, columns []column, rows func() ([][]any, error)) *prepared {
	return &prepared{columns: columns, run: func(context.Context, []any) (*result, error) {
		all, err := rows()
		if err != nil {
			return nil, err
		}
		return &result{
			columns: columns, rows: &memoryRows{columns: columns, rows: all}, tag: tag, count: tag == "SELECT",
		}, nil
	}}
}

// prepare makes a statement ready. types are the types of its parameters, as far as the client says
// them. describe says that the columns are wanted before it runs.
func (c *session) prepare(text string, t []catalog.Token, types []uint32, describe bool) (*prepared, error) {
	p, err := c.prepareKind(text, t, types, describe)
	if err != nil {
		if c.tx.state == txFailed {
			return nil, c.allowed(&prepared{})
		}
		return nil, err
	}
	p.text, p.tokens = text, t
	return p, c.allowed(p)
}

// writes are the first words of statements that change something.
var writes = []string{
	"insert", "update", "delete", "merge", "truncate", "create", "drop", "alter", "grant", "revoke", "comment",
	"refresh", "reindex", "cluster", "vacuum", "import", "security", "do", "call", "lock", "reassign", "notify",
}

func (c *session) prepareKind(text string, t []catalog.Token, types []uint32, describe bool) (*prepared, error) {
	first := t[0]
	if first.Kind == catalog.Word {
		p, err := c.prepareCommand(text, t, types, describe)
		if p != nil || err != nil {
			return p, err
		}
	}
	switch {
	case first.Is("select"), first.Is("with"), first.Is("values"), first.Is("table"), first.Is("("):
		return c.query(text, t, types, describe)
	case first.Kind == catalog.Word && slices.Contains(writes, first.Text):
		return nil, readOnly(first)
	}
	c.unknown(t, text)
	return nil, errorf(codeSyntax, "syntax error at or near %q", text[first.Pos:first.End]).at(first.Pos).
		hint("There are SELECT, SHOW, SET, BEGIN, COMMIT, DECLARE, FETCH, COPY (...) TO STDOUT, SUBSCRIBE and EXPLAIN.")
}

// readOnly refuses a statement that would change something.
func readOnly(first catalog.Token) *Error {
	return errorf(codeReadOnly, "cannot execute %s in a read-only transaction", strings.ToUpper(first.Text)).
		hint("Results can be read here. ALTER JOB and DROP JOB need the right to change jobs; their texts are changed " +
			"by velo apply and over HTTP.")
}

// change prepares ALTER JOB and DROP JOB. What they do cannot be undone by ROLLBACK.
func (c *session) change(text string, t []catalog.Token) (*prepared, error) {
	change := c.server.config.Change
	if change == nil || !c.changes || len(t) < 2 || !t[1].Is("job") {
		return nil, readOnly(t[0])
	}
	tag := strings.ToUpper(t[0].Text + " JOB")
	text = text[t[0].Pos:t[len(t)-1].End]
	return command(tag, func(ctx context.Context) error {
		if c.tx.state != txNone {
			return errorf(codeActiveTx, "%s cannot run inside a transaction block", tag)
		}
		return change(ctx, text)
	}), nil
}

// prepareCommand prepares what is no SELECT; nil if it is none of those.
func (c *session) prepareCommand(text string, t []catalog.Token, types []uint32, describe bool) (*prepared, error) {
	switch t[0].Text {
	case "begin", "start":
		return c.beginTx(t)
	case "commit", "end", "rollback", "abort":
		return c.endTx(t)
	case "savepoint":
		return c.savepoint(t)
	case "release":
		return c.release(t)
	case "set":
		return c.setStatement(t)
	case "reset":
		return c.resetStatement(t)
	case "show":
		return c.show(t)
	case "discard":
		return c.discard(t)
	case "deallocate":
		return c.deallocate(t)
	case "prepare":
		return c.prepareStatement(text, t)
	case "execute":
		return c.executeStatement(t)
	case "declare":
		return c.declare(text, t)
	case "fetch", "move":
		return c.fetch(t)
	case "close":
		return c.closeCursor(t)
	case "copy":
		return c.copyStatement(text, t)
	case "subscribe":
		return c.subscribe(t)
	case "explain":
		return c.explain(text, t, types)
	case "alter", "drop":
		return c.change(text, t)
	case "listen", "unlisten":
		return command(strings.ToUpper(t[0].Text), func(context.Context) error {
			if t[0].Is("listen") {
				c.notice("01000", "nothing is notified here: SUBSCRIBE tells what changes in a view")
			}
			return nil
		}), nil
	case "analyze":
		return command("ANALYZE", func(context.Context) error { return nil }), nil
	case "checkpoint":
		return nil, errorf(
			"42501",
			"CHECKPOINT is a matter of the job",
		).hint("POST /v1/jobs/NAME/checkpoint makes one.")
	}
	return nil, nil
}

// endless says that a statement runs until it is cancelled: SUBSCRIBE, and COPY of it.
func endless(t []catalog.Token) bool {
	return len(t) > 0 && !t[0].Is("declare") &&
		slices.ContainsFunc(t[:min(len(t), 4)], func(t catalog.Token) bool { return t.Is("subscribe") })
}

// query prepares a SELECT: over views, or over the catalog and without FROM.
func (c *session) query(text string, t []catalog.Token, types []uint32, describe bool) (*prepared, error) {
	views := c.server.config.Source.Views()
	stmt, parseErr := catalog.Parse(t)
	var names []catalog.Name
	if parseErr == nil {
		names = stmt.Relations()
	} else {
		names = fromNames(t)
	}
	of, other := 0, ""
	for _, n := range names {
		if isView(n, views) {
			of++
		} else {
			other = n.String()
		}
	}
	switch {
	case of > 0 && (other == "" || parseErr != nil):
		return c.viewQuery(text, t, views, types, describe)
	case of > 0 && catalog.Has(other):
		return nil, errorf(codeUnsupported, "a SELECT over a view cannot read %s as well", other).
			hint("Read the catalog in a statement of its own.")
	case parseErr != nil:
		c.unknown(t, text)
		return nil, parseErr
	}
	q, err := catalog.Compile(stmt, c.database1(views), types)
	if err != nil {
		if isUnknown(err, other) {
			c.unknown(t, text)
		}
		return nil, err
	}
	columns := make([]column, len(q.Columns))
	for i, col := range q.Columns {
		columns[i] = column{name: col.Name, oid: col.Type, mod: -1}
	}
	return &prepared{
		columns: columns,
		params:  q.Parameters,
		run: func(ctx context.Context, args []any) (*result, error) {
			rows, err := q.Run(ctx, catalogArgs(args))
			if err != nil {
				return nil, err
			}
			m := &memoryRows{columns: columns, rows: rows, text: q.Text, types: c.typeMap, open: &c.server.cells}
			m.cells = int64(len(rows) * len(columns))
			if m.open.Add(m.cells) > maxOpenCells {
				m.close()
				return nil, errorf(
					codeOutOfMemory,
					"open results of the catalog have more than %d values",
					maxOpenCells,
				)
			}
			return &result{columns: columns, rows: m, tag: "SELECT", count: true}, nil
		},
	}, nil
}

// maxOpenCells is how many values of the catalog all results may have that have not been read.
const maxOpenCells = 20_000_000

// catalogArgs are parameters as the catalog knows them: it has no decimals.
func catalogArgs(args []any) []any {
	args = slices.Clone(args)
	for i, a := range args {
		switch a := a.(type) {
		case record.Decimal:
			args[i] = a.Float64()
		case record.Literal:
			args[i] = a.Text
		}
	}
	return args
}

// isView says whether a name in FROM is one of the views. pg_catalog is searched first.
func isView(n catalog.Name, views []View) bool {
	if n.Schema != "" && n.Schema != "public" || n.Schema == "" && catalog.Has("pg_catalog."+n.Name) {
		return false
	}
	return slices.ContainsFunc(views, func(v View) bool { return v.Name == n.Name })
}

// fromNames are the names after FROM and JOIN of a SELECT that only package query can parse.
func fromNames(t []catalog.Token) (names []catalog.Name) {
	for i := 0; i+1 < len(t); i++ {
		if !t[i].Is("from") && !t[i].Is("join") && !t[i].Is("table") && !t[i].Is("tumble") {
			continue
		}
		for i++; i < len(t) && t[i].Is("("); i++ {
		}
		if i >= len(t) || t[i].Kind != catalog.Word && t[i].Kind != catalog.Quoted {
			continue
		}
		n := catalog.Name{Name: t[i].Text}
		if i+2 < len(t) && t[i+1].Is(".") {
			n = catalog.Name{Schema: t[i].Text, Name: t[i+2].Text}
		}
		names = append(names, n)
	}
	return names
}

// viewQuery prepares a SELECT over views.
func (c *session) viewQuery(
	text string, t []catalog.Token, views []View, types []uint32, describe bool,
) (*prepared, error) {
	sql := bare(text, t, views)
	p := &prepared{}
	if n := lastParameter(t); n > 0 || describe {
		if n > maxParameters {
			return nil, errorf(codeLimit, "a statement has at most %d parameters", maxParameters)
		}
		d, err := c.describeQuery(sql, n)
		if err != nil {
			return nil, asError(context.Background(), err)
		}
		known := d.Parameters
		p.columns = columnsOf(d.Columns)
		p.params = make([]uint32, n)
		for i := range p.params {
			switch {
			case i < len(types) && types[i] != 0 && types[i] != oidUnknown:
				p.params[i] = types[i]
			case i < len(known) && known[i] != 0:
				p.params[i] = oidOf(known[i])
			default:
				p.params[i] = oidText
			}
		}
	}
	p.run = func(ctx context.Context, args []any) (*result, error) {
		r, end, err := c.reading()
		if err != nil {
			return nil, err
		}
		defer end()
		rows, err := r.Select(ctx, sql, args...)
		if err != nil {
			select {
			case <-c.tx.expired:
				err = c.tooOld()
			default:
			}
			return nil, asError(ctx, err)
		}
		return &result{columns: columnsOf(rows.Schema()), rows: newBatchRows(rows), tag: "SELECT", count: true}, nil
	}
	return p, nil
}

// maxParameters is PostgreSQL's limit.
const maxParameters = 65535

// lastParameter is the highest number of a parameter in a statement.
func lastParameter(t []catalog.Token) (n int) {
	for _, t := range t {
		if t.Kind != catalog.Parameter {
			continue
		}
		k := 0
		for _, d := range t.Text {
			k = min(k*10+int(d-'0'), maxParameters+1)
		}
		n = max(n, k)
	}
	return n
}

// describeQuery finds the columns and the types of the parameters of a SELECT over views.
func (c *session) describeQuery(sql string, params int) (Description, error) {
	source := c.server.config.Source
	if d, ok := source.(Describer); ok {
		return d.Describe(sql)
	}
	ctx, cancel := context.WithTimeout(c.server.ctx, c.server.limits.Statement)
	defer cancel()
	r, err := source.Begin()
	if err != nil {
		return Description{}, err
	}
	defer r.Close()
	rows, err := r.Select(ctx, sql, make([]any, params)...)
	if err != nil {
		return Description{}, err
	}
	defer func() { _ = rows.Close() }()
	return Description{Columns: rows.Schema()}, nil
}

// bare is one SELECT of a text, without the qualifiers that package query does not take: the names of
// the schema, and the name of the view before a column. Blanks take their place, so that places in
// errors stay.
func bare(text string, t []catalog.Token, views []View) string {
	out := []byte(part(text[:t[len(t)-1].End], t[0].Pos))
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = ' '
		}
	}
	name := func(i int) bool {
		return i < len(t) && (t[i].Kind == catalog.Word || t[i].Kind == catalog.Quoted)
	}
	for i := 0; i+2 < len(t); i++ {
		if !name(i) || !t[i+1].Is(".") || i > 0 && t[i-1].Is(".") {
			continue
		}
		if t[i].Text == "public" && name(i+2) {
			blank(t[i].Pos, t[i+1].End)
			i += 2
		}
		if i+2 < len(t) && name(i) && t[i+1].Is(".") && (name(i+2) || t[i+2].Is("*")) &&
			isView(catalog.Name{Name: t[i].Text}, views) {
			blank(t[i].Pos, t[i+1].End)
			i += 2
		}
	}
	return string(out)
}

// isUnknown says whether an error means that velo lacks something of the catalog, and not that the
// client is wrong. relation is a relation that the statement reads.
func isUnknown(err error, relation string) bool {
	var e *catalog.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case codeUndefinedTable:
		return strings.HasPrefix(relation, "pg_") || strings.HasPrefix(relation, "information_schema.")
	case "42883", codeUnsupported, codeSyntax:
		return true
	}
	return false
}

// unknown counts a statement that velo does not know, and logs it the first time. Constants are not
// shown: they may be secrets.
func (c *session) unknown(t []catalog.Token, text string) {
	c.server.stats.Unknown.Add(1)
	var b strings.Builder
	for i, t := range t {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch t.Kind {
		case catalog.String, catalog.Number:
			b.WriteByte('?')
		default:
			b.WriteString(text[t.Pos:t.End])
		}
		if b.Len() > 2000 {
			break
		}
	}
	if c.server.unknown.first(b.String()) {
		c.server.log.Warn("pg: a statement is not known", "statement", b.String(),
			"client", c.setting("application_name"))
	}
}

// database1 is the catalog as this session sees it.
func (c *session) database1(views []View) *catalog.Database {
	d := &catalog.Database{
		Heavy: c.server.heavy,
		Name:  c.database, Owner: owner, User: c.user, PID: int64(c.id), Started: c.server.began,
		Version: "PostgreSQL " + ServerVersion + ": live results of velo",
		Users:   []string{c.user},
		Setting: func(name string) (string, bool) { return c.setting(name), c.known(name) },
		Set: func(name, value string) error {
			c.remember(name, false)
			return c.setError(name, value)
		},
		Settings: func() (names, values []string) {
			for _, r := range c.allSettings() {
				names, values = append(names, r[0].(string)), append(values, r[1].(string))
			}
			return names, values
		},
	}
	for _, v := range views {
		d.Views = append(d.Views, relationOf(v))
	}
	return d
}

// owner is the role that has all views.
const owner = "velo"

// relationOf is a view as a relation of the catalog.
func relationOf(v View) catalog.View {
	r := catalog.View{
		Name: v.Name, Key: v.Key, Comment: v.Comment, Text: v.Text, Kind: map[Kind]byte{Plain: 'v', Table: 'r'}[v.Kind],
	}
	if r.Kind == 0 {
		r.Kind = 'm'
	}
	for i := range v.Schema.Len() {
		f := v.Schema.Field(i)
		col := columnOf(f)
		r.Columns = append(r.Columns, catalog.Column{
			Name: f.Name, Type: col.oid, Mod: int64(col.mod), NotNull: v.Kind == Table && !f.Nullable,
		})
	}
	return r
}
