package pg

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/pg/catalog"
)

// unexpected is the error of a token that may not be where it is.
func unexpected(t catalog.Token) *Error {
	if t.Kind == catalog.End {
		return errorf(codeSyntax, "syntax error at end of input").at(t.Pos)
	}
	return errorf(codeSyntax, "syntax error at or near %q", t.Text).at(t.Pos)
}

// nameOf reads a name that is the whole rest of a statement.
func nameOf(t []catalog.Token) (string, error) {
	if t[0].Kind != catalog.Word && t[0].Kind != catalog.Quoted {
		return "", unexpected(t[0])
	}
	if t[1].Kind != catalog.End {
		return "", unexpected(t[1])
	}
	return t[0].Text, nil
}

// setStatement is SET.
func (c *session) setStatement(t []catalog.Token) (*prepared, error) {
	rest := t[1:]
	local := rest[0].Is("local")
	if local || rest[0].Is("session") && !rest[1].Is("authorization") {
		rest = rest[1:]
	}
	switch {
	case rest[0].Is("transaction"):
		return command("SET", func(context.Context) error { return nil }), modes(rest[1:])
	case rest[0].Is("characteristics") && rest[1].Is("as") && rest[2].Is("transaction"):
		return command("SET", func(context.Context) error { return nil }), modes(rest[3:])
	case rest[0].Is("names"):
		value, err := settingValue(rest[1:])
		return command("SET", func(context.Context) error { return c.setError("client_encoding", value) }), err
	case rest[0].Is("role") && rest[1].Is("none"):
		return command("SET", func(context.Context) error { return nil }), nil
	case rest[0].Is("role"):
		return nil, errorf("42501", "the role of a session cannot be changed").at(rest[0].Pos)
	}
	name, after := settingName(rest)
	if name == "" {
		return nil, unexpected(rest[0])
	}
	if after[0].Is("=") || after[0].Is("to") {
		after = after[1:]
	} else if name != "TimeZone" && name != "session_authorization" {
		return nil, unexpected(after[0])
	}
	if after[0].Is("default") && after[1].Kind == catalog.End {
		if name == "session_authorization" {
			return command("SET", func(context.Context) error { return nil }), nil // it was never changed
		}
		return command("SET", func(context.Context) error { return orNil(c.reset(name)) }), nil
	}
	value, err := settingValue(after)
	if err != nil {
		return nil, err
	}
	if local && c.tx.state == txNone {
		return command("SET", func(context.Context) error {
			c.notice(codeNoTx, "SET LOCAL can only be used in transaction blocks")
			return nil
		}), nil
	}
	return command("SET", func(context.Context) error {
		c.remember(name, local)
		return c.setError(name, value)
	}), nil
}

// remember keeps what a parameter is before a transaction sets it.
func (c *session) remember(name string, local bool) {
	if c.tx.state == txNone {
		return
	}
	key := strings.ToLower(name)
	b, again := c.tx.before[key]
	if !again {
		b = before{value: c.setting(name), known: c.known(name)}
	}
	b.local = local
	if c.tx.before == nil {
		c.tx.before = map[string]before{}
	}
	c.tx.before[key] = b
}

func (c *session) setError(name, value string) error { return orNil(c.set(name, value)) }

// orNil makes a nil *Error a nil error.
func orNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// settingValue reads the values of SET, which are separated by commas.
func settingValue(t []catalog.Token) (string, error) {
	var parts []string
	for {
		sign := ""
		if t[0].Is("-") || t[0].Is("+") {
			sign = strings.TrimPrefix(t[0].Text, "+")
			t = t[1:]
		}
		if t[0].Is("interval") && t[1].Kind == catalog.String { // SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE
			return "", errorf(codeUnsupported, "a zone as an interval is not supported").at(t[0].Pos)
		}
		switch t[0].Kind {
		case catalog.Word, catalog.Quoted, catalog.String, catalog.Number:
			parts = append(parts, sign+t[0].Text)
		default:
			return "", unexpected(t[0])
		}
		switch {
		case t[1].Kind == catalog.End:
			return strings.Join(parts, ", "), nil
		case !t[1].Is(","):
			return "", unexpected(t[1])
		}
		t = t[2:]
	}
}

func (c *session) resetStatement(t []catalog.Token) (*prepared, error) {
	if t[1].Is("all") {
		return command("RESET", func(context.Context) error {
			c.resetAll()
			return nil
		}), nil
	}
	name, rest := settingName(t[1:])
	if name == "" || rest[0].Kind != catalog.End {
		return nil, unexpected(t[1])
	}
	return command("RESET", func(context.Context) error {
		if strings.EqualFold(name, "session_authorization") || strings.EqualFold(name, "role") {
			return nil // it was never changed
		}
		if !c.known(name) {
			return errorf(codeUndefinedObj, "unrecognized configuration parameter %q", name)
		}
		return orNil(c.reset(name))
	}), nil
}

// show is SHOW: a parameter, or what there is of velo's things.
func (c *session) show(t []catalog.Token) (*prepared, error) {
	if t[1].Is("all") && t[2].Kind == catalog.End {
		columns := []column{textColumn("name"), textColumn("setting"), textColumn("description")}
		return memory("SHOW", columns, func() ([][]any, error) { return c.allSettings(), nil }), nil
	}
	if t[1].Kind == catalog.Word && t[2].Kind == catalog.End {
		p := c.showList(t[1].Text)
		if p != nil {
			return p, nil
		}
	}
	name, rest := settingName(t[1:])
	switch {
	case name == "" || rest[0].Kind != catalog.End:
		return nil, unexpected(t[1])
	case !c.known(name):
		return nil, errorf(codeUndefinedObj, "unrecognized configuration parameter %q", name).at(t[1].Pos).
			hint("SHOW VIEWS lists the views, and SHOW ALL the parameters.")
	}
	if k := settingOf(name); k != nil {
		name = k.name
	}
	return memory("SHOW", []column{textColumn(name)}, func() ([][]any, error) {
		return [][]any{{c.setting(name)}}, nil
	}), nil
}

// showList is SHOW VIEWS and lists of the Source; nil if there is no such list.
func (c *session) showList(what string) *prepared {
	if l, ok := c.server.config.Source.(Lister); ok {
		names, rows, ok := l.List(what)
		if ok {
			var columns []column
			for _, n := range names {
				columns = append(columns, textColumn(n))
			}
			return memory("SHOW", columns, func() ([][]any, error) {
				all := make([][]any, len(rows))
				for i, row := range rows {
					for _, v := range row {
						all[i] = append(all[i], v)
					}
				}
				return all, nil
			})
		}
	}
	if what != "views" {
		return nil
	}
	columns := []column{textColumn("name"), textColumn("columns"), textColumn("key"), textColumn("comment")}
	return memory("SHOW", columns, func() (rows [][]any, _ error) {
		for _, v := range c.server.config.Source.Views() {
			var names []string
			for i := range v.Schema.Len() {
				f := v.Schema.Field(i)
				names = append(names, f.Name+" "+f.Type.String())
			}
			rows = append(rows, []any{v.Name, strings.Join(names, ", "), strings.Join(v.Key, ", "), v.Comment})
		}
		slices.SortFunc(rows, func(a, b []any) int { return strings.Compare(a[0].(string), b[0].(string)) })
		return rows, nil
	})
}

func (c *session) discard(t []catalog.Token) (*prepared, error) {
	what := t[1].Text
	if !slices.Contains([]string{"all", "plans", "temp", "temporary", "sequences"}, what) || t[2].Kind != catalog.End {
		return nil, unexpected(t[1])
	}
	return command("DISCARD "+strings.ToUpper(what), func(context.Context) error {
		if what != "all" {
			return nil
		}
		if c.tx.state != txNone {
			return errorf(codeActiveTx, "DISCARD ALL cannot run inside a transaction block")
		}
		for name := range c.portals {
			c.closePortal(name)
		}
		clear(c.prepared)
		c.resetAll()
		return nil
	}), nil
}

func (c *session) deallocate(t []catalog.Token) (*prepared, error) {
	rest := t[1:]
	if rest[0].Is("prepare") {
		rest = rest[1:]
	}
	name, err := nameOf(rest)
	if err != nil {
		return nil, err
	}
	if rest[0].Is("all") {
		p := command("DEALLOCATE ALL", func(context.Context) error {
			clear(c.prepared)
			return nil
		})
		p.always = true
		return p, nil
	}
	p := command("DEALLOCATE", func(context.Context) error {
		if c.prepared[name] == nil {
			return noStatement(name)
		}
		delete(c.prepared, name)
		return nil
	})
	p.always = true // as in PostgreSQL, so that drivers can drop a statement that has failed
	return p, nil
}

// part is the text of a statement from a token on, at the same places: what is before it is blank.
func part(text string, from int) string { return strings.Repeat(" ", from) + text[from:] }

// prepareStatement is PREPARE name [(types)] AS statement.
func (c *session) prepareStatement(text string, t []catalog.Token) (*prepared, error) {
	if t[1].Kind != catalog.Word && t[1].Kind != catalog.Quoted {
		return nil, unexpected(t[1])
	}
	rest := t[2:]
	var types []uint32
	if rest[0].Is("(") {
		for rest = rest[1:]; !rest[0].Is(")"); rest = rest[1:] {
			if rest[0].Is(",") {
				continue
			}
			if rest[0].Kind == catalog.End {
				return nil, unexpected(rest[0])
			}
			name := rest[0].Text
			for rest[1].Kind == catalog.Word { // double precision, timestamp with time zone
				name += " " + rest[1].Text
				rest = rest[1:]
			}
			oid, ok := catalog.TypeOID(name)
			if !ok {
				return nil, errorf(codeUndefinedObj, "type %q does not exist", name).at(rest[0].Pos)
			}
			types = append(types, oid)
		}
		rest = rest[1:]
	}
	if !rest[0].Is("as") || rest[1].Kind == catalog.End {
		return nil, unexpected(rest[0])
	}
	name := t[1].Text
	inner, err := c.prepare(part(text, rest[1].Pos), rest[1:], types, true)
	if err != nil {
		return nil, err
	}
	return command("PREPARE", func(context.Context) error {
		if c.prepared[name] != nil {
			return errorf(codeDuplicateStmt, "prepared statement %q already exists", name)
		}
		err := c.roomFor(inner.text, name)
		if err != nil {
			return err
		}
		c.prepared[name] = inner
		return nil
	}), nil
}

// executeStatement is EXECUTE name [(constants)].
func (c *session) executeStatement(t []catalog.Token) (*prepared, error) {
	if t[1].Kind != catalog.Word && t[1].Kind != catalog.Quoted {
		return nil, unexpected(t[1])
	}
	p := c.prepared[t[1].Text]
	if p == nil || p.run == nil {
		return nil, noStatement(t[1].Text)
	}
	var args []any
	rest := t[2:]
	if rest[0].Is("(") {
		for rest = rest[1:]; ; rest = rest[2:] {
			value := rest[0].Text
			if rest[0].Is("-") && rest[1].Kind == catalog.Number {
				rest = rest[1:]
				value = "-" + rest[0].Text
			}
			raw := []byte(value)
			switch {
			case rest[0].Is("null"):
				raw = nil
			case rest[0].Kind == catalog.String,
				rest[0].Kind == catalog.Number,
				rest[0].Is("true"),
				rest[0].Is("false"):
			default:
				return nil, errorf(codeUnsupported, "EXECUTE takes constants").at(rest[0].Pos)
			}
			if len(args) >= len(p.params) {
				break
			}
			v, err := parameter(c.typeMap, &c.style, len(args)+1, p.params[len(args)], formatText, raw)
			if err != nil {
				return nil, err
			}
			args = append(args, v)
			if !rest[1].Is(",") {
				break
			}
		}
		if !rest[1].Is(")") || rest[2].Kind != catalog.End {
			return nil, unexpected(rest[1])
		}
	} else if rest[0].Kind != catalog.End {
		return nil, unexpected(rest[0])
	}
	if len(args) != len(p.params) {
		return nil, errorf(codeSyntax, "wrong number of parameters for prepared statement %q", t[1].Text)
	}
	return &prepared{columns: p.columns, always: p.always, run: func(ctx context.Context, _ []any) (*result, error) {
		return p.run(ctx, args)
	}}, nil
}

// declare is DECLARE name [BINARY] CURSOR [WITH HOLD] FOR statement.
func (c *session) declare(text string, t []catalog.Token) (*prepared, error) {
	if t[1].Kind != catalog.Word && t[1].Kind != catalog.Quoted {
		return nil, unexpected(t[1])
	}
	name, hold, binary := t[1].Text, false, false
	i := 2
	for ; !t[i].Is("for"); i++ {
		switch {
		case t[i].Kind == catalog.End:
			return nil, unexpected(t[i])
		case t[i].Is("scroll") && !t[i-1].Is("no"):
			return nil, errorf(codeUnsupported, "cursors go forward only").at(t[i].Pos).hint("Leave out SCROLL.")
		case t[i].Is("hold"):
			hold = t[i-1].Is("with")
		case t[i].Is("binary"):
			binary = true
		}
	}
	t = t[i+1:]
	inner, err := c.prepare(part(text, t[0].Pos), t, nil, true)
	if err != nil {
		return nil, err
	}
	if inner.columns == nil {
		return nil, errorf(codeSyntax, "a cursor is FOR a statement that gives rows").at(t[0].Pos)
	}
	return command("DECLARE CURSOR", func(ctx context.Context) error {
		switch {
		case c.tx.state == txNone && !hold:
			return errorf(
				codeNoTx,
				"DECLARE CURSOR can only be used in transaction blocks",
			).hint("Or declare it WITH HOLD.")
		case c.portals[name] != nil:
			return errorf(codeDuplicateCur, "cursor %q already exists", name)
		}
		r, err := inner.run(ctx, nil)
		if err != nil {
			return err
		}
		p := &portal{prepared: inner, result: r, cursor: true, hold: hold}
		if binary {
			p.formats = []int16{formatBinary}
		}
		err = c.addPortal(name, p)
		if err != nil {
			p.close()
		}
		return err
	}), nil
}

// fetch is FETCH and MOVE, forward only.
func (c *session) fetch(t []catalog.Token) (*prepared, error) {
	rest := t[1:]
	n := 1
	if rest[0].Is("forward") || rest[0].Is("next") {
		rest = rest[1:]
	}
	switch {
	case rest[0].Kind == catalog.Number:
		k, err := strconv.Atoi(rest[0].Text)
		if err != nil {
			return nil, unexpected(rest[0])
		}
		n, rest = k, rest[1:]
	case rest[0].Is("all"):
		n, rest = -1, rest[1:]
	case slices.ContainsFunc([]string{"prior", "first", "last", "absolute", "relative", "backward", "-"}, rest[0].Is):
		return nil, errorf(codeUnsupported, "cursors go forward only").at(rest[0].Pos)
	}
	if rest[0].Is("from") || rest[0].Is("in") {
		rest = rest[1:]
	}
	name, err := nameOf(rest)
	if err != nil {
		return nil, err
	}
	p, err := c.cursor(name)
	if err != nil {
		return nil, err
	}
	if t[0].Is("move") {
		return &prepared{run: func(ctx context.Context, _ []any) (*result, error) {
			p, err := c.cursor(name)
			if err != nil {
				return nil, err
			}
			moved, _, err := (&cursorRows{p, n}).send(ctx, &writer{discard: true}, &c.style, nil, 0)
			return &result{tag: "MOVE " + strconv.Itoa(moved)}, err
		}}, nil
	}
	return &prepared{columns: p.columns, run: func(context.Context, []any) (*result, error) {
		p, err := c.cursor(name) // it may be another of the name by now
		if err != nil {
			return nil, err
		}
		return &result{columns: p.columns, rows: &cursorRows{p, n}, tag: "FETCH", count: true}, nil
	}}, nil
}

// cursor finds a cursor.
func (c *session) cursor(name string) (*portal, error) {
	p := c.portals[name]
	if p == nil || !p.cursor {
		return nil, errorf(codeNoCursor, "cursor %q does not exist", name)
	}
	return p, nil
}

// cursorRows are the next rows of a cursor: limit of them, or all if it is negative.
type cursorRows struct {
	portal *portal
	limit  int
}

func (r *cursorRows) close() {}

func (r *cursorRows) send(ctx context.Context, w *writer, st *style, formats []int16, limit int) (int, bool, error) {
	p := r.portal
	if p.done || p.result.rows == nil || r.limit == 0 {
		return 0, true, nil
	}
	if len(p.formats) > 0 {
		formats = p.formats
	}
	want := max(r.limit, 0)
	if limit > 0 && (want == 0 || limit < want) {
		want = limit
	}
	n, done, err := p.result.rows.send(ctx, w, st, formats, want)
	p.done = done
	if r.limit > 0 {
		r.limit -= n
	}
	// FETCH is complete when it has given what there is now, also from a SUBSCRIBE, which has no
	// end: only an Execute that wanted fewer rows suspends it.
	return n, done || r.limit == 0 || limit == 0 || n < limit, err
}

func (r *cursorRows) copyOut(ctx context.Context, w *writer, st *style) (int, error) {
	return r.portal.result.rows.copyOut(ctx, w, st)
}

func (c *session) closeCursor(t []catalog.Token) (*prepared, error) {
	name, err := nameOf(t[1:])
	if err != nil {
		return nil, err
	}
	return command("CLOSE CURSOR", func(context.Context) error {
		if t[1].Is("all") {
			for n, p := range c.portals {
				if p.cursor {
					c.closePortal(n)
				}
			}
			return nil
		}
		_, err := c.cursor(name)
		if err != nil {
			return err
		}
		c.closePortal(name)
		return nil
	}), nil
}

// copyStatement is COPY (query) TO STDOUT and COPY view TO STDOUT.
func (c *session) copyStatement(text string, t []catalog.Token) (*prepared, error) {
	var inner []catalog.Token
	sql := text
	rest := t[1:]
	if rest[0].Is("(") {
		depth, i := 0, 0
		for ; ; i++ {
			if rest[i].Kind == catalog.End {
				return nil, unexpected(rest[i])
			}
			if rest[i].Is("(") {
				depth++
			} else if rest[i].Is(")") {
				depth--
			}
			if depth == 0 {
				break
			}
		}
		end := rest[i].Pos
		inner = append(slices.Clone(rest[1:i]), catalog.Token{Kind: catalog.End, Pos: end, End: end})
		sql = part(text[:end], inner[0].Pos)
		rest = rest[i+1:]
	} else {
		i := 0
		for !rest[i].Is("to") && !rest[i].Is("from") && !rest[i].Is("(") && rest[i].Kind != catalog.End {
			i++
		}
		if rest[i].Is("from") {
			return nil, errorf(codeReadOnly, "cannot execute COPY FROM in a read-only transaction")
		}
		if i == 0 {
			return nil, unexpected(rest[0])
		}
		sql = "SELECT * FROM " + text[rest[0].Pos:rest[i-1].End]
		all, err := split(sql)
		if err != nil {
			return nil, err
		}
		inner, rest = all[0], rest[i:]
	}
	if !rest[0].Is("to") || !rest[1].Is("stdout") {
		return nil, errorf(codeUnsupported, "COPY writes TO STDOUT only").at(rest[0].Pos)
	}
	if e := copyOptions(rest[2:]); e != nil {
		return nil, e
	}
	p, err := c.prepare(sql, inner, nil, false)
	if err != nil {
		return nil, err
	}
	run := p.run
	return &prepared{run: func(ctx context.Context, args []any) (*result, error) {
		r, err := run(ctx, args)
		if err != nil {
			return nil, err
		}
		if r.rows == nil && r.stream == nil {
			return nil, errorf(codeSyntax, "COPY takes a statement that gives rows")
		}
		r.copy, r.tag, r.count = true, "COPY", true
		return r, nil
	}}, nil
}

// copyOptions takes the options that say what is the default: format text.
func copyOptions(t []catalog.Token) *Error {
	for _, t := range t {
		switch {
		case t.Kind == catalog.End:
		case slices.ContainsFunc([]string{"with", "(", ")", "format", "text"}, t.Is):
		default:
			return errorf(codeUnsupported, "COPY has no option %q here", t.Text).at(t.Pos).hint("There is FORMAT text.")
		}
	}
	return nil
}

// explain is EXPLAIN of a SELECT over views.
func (c *session) explain(text string, t []catalog.Token, types []uint32) (*prepared, error) {
	rest := t[1:]
	if rest[0].Is("(") {
		for !rest[0].Is(")") && rest[0].Kind != catalog.End {
			rest = rest[1:]
		}
		rest = rest[min(1, len(rest)-1):]
	}
	for rest[0].Is("analyze") || rest[0].Is("verbose") {
		rest = rest[1:]
	}
	sql := part(text, rest[0].Pos)
	p, err := c.prepare(sql, rest, types, true)
	if err != nil {
		return nil, err
	}
	if p.columns == nil {
		return nil, errorf(codeSyntax, "EXPLAIN takes a SELECT").at(rest[0].Pos)
	}
	return memory("EXPLAIN", []column{textColumn("QUERY PLAN")}, func() ([][]any, error) {
		lines := "catalog: relations in memory, joined row by row"
		if e, ok := c.server.config.Source.(Explainer); ok {
			s, err := e.Explain(bare(sql, rest, c.server.config.Source.Views()))
			if err == nil {
				lines = s
			}
		}
		var rows [][]any
		for line := range strings.SplitSeq(strings.TrimRight(lines, "\n"), "\n") {
			rows = append(rows, []any{line})
		}
		return rows, nil
	}), nil
}
