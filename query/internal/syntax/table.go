package syntax

import (
	"slices"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// windowArguments are the arguments after the table and the column, in order.
var windowArguments = map[WindowKind][]string{
	Tumble:   {"SIZE", "OFFSET"},
	Hop:      {"SLIDE", "SIZE", "OFFSET"},
	Cumulate: {"STEP", "SIZE", "OFFSET"},
	Session:  {"GAP"},
}

// argument is the place in w where an argument goes.
func (w *Window) argument(name string) *Expr {
	switch name {
	case "SIZE":
		return &w.Size
	case "SLIDE", "STEP":
		return &w.Slide
	case "GAP":
		return &w.Gap
	}
	return &w.Offset
}

// table parses what follows FROM.
func (p *parser) table() (t Table) {
	t.Pos = p.pos()
	first := p.peek()
	switch {
	case p.is("("):
		p.expect("(")
		p.nested(func() { t.Query = p.query() })
		p.expect(")")
		if t.Query.onlyRows() && !t.Query.ends() {
			t.Rows, t.Query = t.Query.From.Rows, nil
		}
	case p.is("TABLE", "("):
		p.next()
		p.parenthesised(func() { p.window(&t) })
	case windowArguments[windowKind(first)] != nil && p.second().Value == "(":
		p.window(&t)
	default:
		t.Name = p.tableName()
		if p.is("(") {
			if t.Name == "unnest" || t.Name == "generate_series" {
				fail(t.Pos, strings.ToUpper(t.Name)+" is not supported: a query reads the records of one source")
			}
			if strings.HasPrefix(t.Name, "read_") || strings.HasSuffix(t.Name, "_scan") {
				fail(t.Pos, t.Name+" is not there: write the name of the file, FROM 'file.csv'")
			}
			fail(t.Pos, "unknown table function "+shown(t.Name)+", expected TUMBLE, HOP, CUMULATE or SESSION")
		}
	}
	t.Alias = p.alias()
	if t.Alias != "" && (t.Query != nil || t.Rows != nil) && p.is("(") {
		p.renamed(&t)
	}
	for p.joins() {
		t.Joins = append(t.Joins, p.join())
	}
	return t
}

// joins says whether a join follows. It fails for what looks like one and is none that is
// supported.
func (p *parser) joins() bool {
	const instead = ": a record is joined with the row that it finds in a table, by [LEFT] JOIN name ON ..."
	switch v := p.peek().Value; v {
	case ",":
		if next := p.second().Value; next == "unnest" || next == "LATERAL" {
			fail(p.pos(), "UNNEST is not supported: a query reads one source, a record of which is one row")
		}
		fail(p.pos(), "several names in FROM are not supported"+instead)
	case "RIGHT", "FULL":
		fail(p.pos(), v+" JOIN is not supported: rows that no record finds would come at the end of the input only; "+
			"write LEFT JOIN, with the table on the right")
	case "CROSS", "NATURAL":
		fail(p.pos(), v+" JOIN is not supported"+instead)
	case "JOIN", "INNER", "LEFT":
		return true
	}
	return false
}

// join parses [INNER | LEFT [OUTER]] JOIN name [AS alias] (ON condition | USING (columns)).
func (p *parser) join() Join {
	j := Join{Pos: p.pos(), Left: p.accept("LEFT")}
	if j.Left {
		p.accept("outer")
	} else {
		p.accept("INNER")
	}
	p.expect("JOIN")
	if p.is("(") {
		fail(p.pos(), "a query in JOIN is not supported: expected the name of a table, which CREATE TABLE name (... "+
			"PRIMARY KEY (...)) declares")
	}
	if p.is("LATERAL") {
		fail(p.pos(), "LATERAL is not supported: expected the name of a table")
	}
	j.Name = p.tableName()
	j.Alias = p.alias()
	if p.accept("USING") {
		p.parenthesised(func() {
			for {
				j.Using = append(j.Using, p.column())
				if !p.accept(",") {
					break
				}
			}
		})
		return j
	}
	if !p.is("ON") {
		p.unexpected("ON or USING")
	}
	p.next()
	j.On = p.expr(lowest, false)
	return j
}

func windowKind(t *lexer.Token) WindowKind {
	if t.Type != word {
		return ""
	}
	return WindowKind(lower(t.Value))
}

// tableName parses the name of a source, or a path in either kind of quotes.
func (p *parser) tableName() string {
	if t := p.peek(); t.Type == str || t.Type == estr {
		name := p.stringValue()
		if name == "" {
			fail(Pos(t.Pos.Offset), "the name of a source is empty")
		}
		return name
	}
	pos := p.pos()
	name, ok := p.name()
	if !ok {
		p.unexpected("the name of a source")
	}
	if p.is(".") {
		path := name
		for p.accept(".") {
			part, _ := p.label()
			path += "." + part
		}
		fail(pos, "a source has one name without dots; a path is in quotes: '"+path+"'")
	}
	return name
}

// window parses TUMBLE(...) and similar calls. Arguments may be named, DATA => TABLE t. Named
// arguments come in any order after those without a name.
func (p *parser) window(t *Table) {
	w := &Window{Pos: p.pos(), Kind: windowKind(p.peek())}
	order, ok := windowArguments[w.Kind]
	if !ok {
		p.unexpected("TUMBLE, HOP, CUMULATE or SESSION")
	}
	p.next()
	order = append([]string{"DATA", "TIMECOL"}, order...)
	seen := map[string]bool{}
	p.parenthesised(func() {
		named := false
		for i := 0; ; i++ {
			pos, name := p.pos(), ""
			switch {
			case p.second().Value == "=>":
				name = p.peek().Value
				if !slices.Contains(order, name) {
					p.unexpected(strings.Join(order, ", "))
				}
				p.next()
				p.next()
				named = true
			case named:
				p.unexpected("an argument with a name, as before")
			case i == len(order):
				fail(pos, "too many arguments: "+w.usage())
			default:
				name = order[i]
			}
			if seen[name] {
				fail(pos, name+" is given twice")
			}
			seen[name] = true
			switch name {
			case "DATA":
				p.windowData(t, w)
			case "TIMECOL":
				w.At = p.windowTime()
			default:
				*w.argument(name) = p.expr(lowest, false)
			}
			if !p.accept(",") {
				break
			}
		}
		for _, name := range order {
			if name != "OFFSET" && !seen[name] {
				fail(p.pos(), "too few arguments: "+w.usage())
			}
		}
	})
	t.Window = w
}

// usage shows how a window is called.
func (w *Window) usage() string {
	args := strings.Join(windowArguments[w.Kind], ", ")
	if before, ok := strings.CutSuffix(args, ", OFFSET"); ok {
		args = before + " [, OFFSET]"
	}
	return "expected " + strings.ToUpper(string(w.Kind)) + "(source, time column, " + strings.ToLower(args) + ")"
}

// windowData parses [TABLE] t [PARTITION BY k | PARTITION BY (k, ...)].
func (p *parser) windowData(t *Table, w *Window) {
	if s := p.second().Type; p.is("TABLE") && (s == word || s == quoted || s == str || s == estr) {
		p.next()
	}
	t.Name = p.tableName()
	if p.accept("PARTITION") {
		p.expect("BY")
		if !p.is("(") {
			w.PartitionBy = append(w.PartitionBy, p.column())
			return
		}
		p.parenthesised(func() {
			for {
				w.PartitionBy = append(w.PartitionBy, p.column())
				if !p.accept(",") {
					break
				}
			}
		})
	}
}

// windowTime parses the time of a window, which may be in DESCRIPTOR(...).
func (p *parser) windowTime() (time Expr) {
	if p.is("DESCRIPTOR", "(") {
		p.next()
		p.parenthesised(func() { time = p.expr(lowest, false) })
		return time
	}
	return p.expr(lowest, false)
}

// column parses the name of a column, with or without its table.
func (p *parser) column() *Ident {
	t := p.peek()
	if t.Type == quoted || t.Type == word && keywords[t.Value].use != reserved {
		if e, ok := p.named().(*Ident); ok {
			return e
		}
		fail(Pos(t.Pos.Offset), "expected the name of a column, not a call")
	}
	p.unexpected("the name of a column")
	return nil
}
