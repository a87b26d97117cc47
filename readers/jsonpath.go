package readers

import "strings"

// A column may be a field within a field: "request.remote_ip" is the field remote_ip of the object
// request. Names of fields may contain points themselves, so every way to cut the name of a column
// at its points is a path. A field of the whole name, in the outermost object, takes precedence. If
// something on the path is not an object, the column is NULL.

// maxPathCuts is how many points of a column's name paths are made of, which bounds how many paths
// there are.
const maxPathCuts = 8

// jsonNode says what is looked for in an object.
type jsonNode struct {
	// column is the column of this name; -1 if there is none.
	column int
	// fields are the nodes of the fields of the object.
	fields map[string]*jsonNode
	// id numbers the nodes of a format from 0.
	id int
	// within are the columns below this node.
	within []int
}

// jsonPaths are the paths of all columns.
type jsonPaths struct {
	root  *jsonNode
	nodes int
}

func (p *jsonPaths) node() *jsonNode {
	p.nodes++
	return &jsonNode{column: -1, fields: map[string]*jsonNode{}, id: p.nodes - 1}
}

// compilePaths finds the paths of all columns. It returns nil if no column has a point in its name.
func compilePaths(names []string) *jsonPaths {
	p := &jsonPaths{}
	p.root = p.node()
	for column, name := range names {
		if n := strings.Count(name, "."); n > 0 && n <= maxPathCuts {
			p.add(p.root, name, column)
		}
	}
	if len(p.root.fields) == 0 {
		return nil
	}
	return p
}

// add adds below a node all paths that a name may stand for.
func (p *jsonPaths) add(n *jsonNode, name string, column int) {
	n.within = append(n.within, column)
	for i := 1; i < len(name)-1; i++ {
		if name[i] == '.' {
			p.add(p.field(n, name[:i]), name[i+1:], column)
		}
	}
	if n != p.root { // a field of the outermost object is found by its whole name
		p.field(n, name).column = column
	}
}

// field returns the node of a field, and makes it if there is none.
func (p *jsonPaths) field(n *jsonNode, name string) *jsonNode {
	next := n.fields[name]
	if next == nil {
		next = p.node()
		n.fields[name] = next
	}
	return next
}

// nested finds the fields within the object at i that are columns, and the end of the object. It is
// scan for an object that has columns within it.
func (l *jsonLine) nested(buf []byte, i, end int, node *jsonNode) (span jsonSpan, err error) {
	span = jsonSpan{begin: i, kind: jsonObject}
	fail := func(at int, err error) (jsonSpan, error) {
		span.end = at
		return span, err
	}
	l.above++
	defer func() { l.above-- }()
	i = blanks(buf, i+1, end)
	if i < end && buf[i] == '}' {
		span.end = i + 1
		return span, nil
	}
	for {
		if i == end || buf[i] != '"' {
			return fail(i, errName)
		}
		next, escaped, err := scanString(buf, i, end)
		if err != nil {
			return fail(next, err)
		}
		field := node.fields[string(l.name(buf[i+1:next-1], escaped))]
		i = blanks(buf, next, end)
		if i == end || buf[i] != ':' {
			return fail(i, errColon)
		}
		i = blanks(buf, i+1, end)
		inner, err := l.member(buf, i, end, field, field != nil && l.reads(field.column))
		if err != nil {
			return fail(inner.end, err)
		}
		span.escaped = span.escaped || inner.escaped
		if field != nil && field.column >= 0 && l.direct[field.column] != l.lines {
			l.spans[field.column], l.seen[field.column] = inner, l.lines
		}
		i = blanks(buf, inner.end, end)
		if i < end && buf[i] == ',' {
			i = blanks(buf, i+1, end)
			continue
		}
		if i == end || buf[i] != '}' {
			return fail(i, errNext)
		}
		span.end = i + 1
		return span, nil
	}
}

// member finds the end of a value, and the columns within it. read says that the value itself is
// read.
func (l *jsonLine) member(buf []byte, i, end int, node *jsonNode, read bool) (jsonSpan, error) {
	within := node != nil && l.wanted[node.id]
	if read || !within {
		find := l.pass
		if read {
			find = l.scan
		}
		if span, err := find(buf, i, end); err != nil || !within {
			return span, err
		}
	}
	if l.nodes[node.id] == l.lines {
		// The field comes twice, and the last one counts.
		for _, column := range node.within {
			if l.direct[column] != l.lines {
				l.seen[column] = 0
			}
		}
	}
	l.nodes[node.id] = l.lines
	if i < end && buf[i] == '{' {
		return l.nested(buf, i, end, node)
	}
	if read {
		return l.scan(buf, i, end)
	}
	return l.pass(buf, i, end)
}

// name is the name of a field without its escapes.
func (l *jsonLine) name(name []byte, escaped bool) []byte {
	if !escaped {
		return name
	}
	l.scratch = append(l.scratch[:0], name...)
	return l.scratch[:unescape(l.scratch)]
}

// copied says which text columns lie within the field of another column, if both are read. Their
// texts are copied, because escapes are resolved in place and the other column needs its JSON
// unchanged.
func copied(names []string, fields []field, p *projection) []bool {
	var all []bool
	for i, name := range names {
		for j, outer := range names {
			if fields[i].kind == fieldText && strings.HasPrefix(name, outer+".") && !p.skips(i) && !p.skips(j) {
				if all == nil {
					all = make([]bool, len(names))
				}
				all[i] = true
			}
		}
	}
	return all
}
