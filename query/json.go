package query

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// jsonFunctions are the functions of texts that are JSON. Their paths are constants.
var jsonFunctions = map[string]func(*compiler, *syntax.Call, leaf) (value, bool){
	"json_extract": (*compiler).jsonAt, "json_extract_string": (*compiler).jsonAt,
	"json_extract_scalar": (*compiler).jsonAt, "get_json_object": (*compiler).jsonAt,
	"json_value":        (*compiler).jsonAt,
	"json_extract_path": (*compiler).jsonPath, "json_extract_path_text": (*compiler).jsonPath,
	"jsonb_extract_path": (*compiler).jsonbPath, "jsonb_extract_path_text": (*compiler).jsonbPath,
	"json_array_length": (*compiler).jsonOf, "jsonb_array_length": (*compiler).jsonOf,
	"json_typeof": (*compiler).jsonOf, "jsonb_typeof": (*compiler).jsonOf, "json_valid": (*compiler).jsonOf,
}

// jsonCompared reports a comparison of JSON, in which a string has its quotes, with a constant text
// that is no JSON. It would never be true, and DuckDB and PostgreSQL refuse it.
func (c *compiler) jsonCompared(all ...syntax.Expr) bool {
	found := slices.IndexFunc(all, isJSON)
	if found < 0 {
		return true
	}
	for _, e := range all {
		k, is := e.(*syntax.Literal)
		if is && k.Kind == syntax.String && !json.Valid([]byte(k.Text)) {
			c.fault(k.Pos, "%s is JSON, in which a string keeps its quotes, and %s is no JSON: compare the text "+
				"without quotes, which ->>, #>> and json_extract_string have", all[found], k)
			return false
		}
	}
	return true
}

// isJSON says whether an expression is JSON that was found in a text, and no text without quotes.
func isJSON(e syntax.Expr) bool {
	switch x := e.(type) {
	case *syntax.Binary:
		return x.Op == "->"
	case *syntax.Call:
		return x.Name == "json_extract" || x.Name == "json_extract_path"
	}
	return false
}

// jsonOf is a function of a text that is JSON, or of what a path leads to in it.
func (c *compiler) jsonOf(x *syntax.Call, l leaf) (v value, ok bool) {
	most := 2
	if x.Name == "json_valid" {
		most = 1
	}
	if !c.arity(x, 1, most) {
		return v, false
	}
	arg := x.Args[0]
	if len(x.Args) == 2 {
		arg = callOf(x, "json_extract", x.Args...)
	}
	text, ok := c.textOf(arg, l, x.Name)
	if !ok {
		return v, false
	}
	op := map[string]expr.Op{
		"array_length": expr.JSONLength, "typeof": expr.JSONType, "valid": expr.JSONValid,
	}[x.Name[strings.IndexByte(x.Name, '_')+1:]]
	return c.make(x.Pos, op, text)
}

// jsonAt is json_extract(x, path), which is JSON as in DuckDB, and its relatives, which are texts.
// json_value and json_extract_scalar are NULL for objects and arrays.
func (c *compiler) jsonAt(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	text, ok := c.constant(x.Args[1], l, "the path of "+x.Name)
	if !ok {
		return v, false
	}
	keys, fault := pathKeys(text)
	if fault != "" {
		c.fault(x.Args[1].Start(), "%s", fault)
		return v, false
	}
	scalar := x.Name == "json_value" || x.Name == "json_extract_scalar"
	asText := x.Name != "json_extract" && !scalar
	if len(keys) == 0 { // the value itself
		e, ok := c.textOf(x.Args[0], l, x.Name)
		if !ok || !scalar {
			return value{e: e}, ok
		}
		return c.make(x.Pos, expr.JSONScalar, e)
	}
	v, ok = c.bindPath(x, keys, asText, l)
	if !ok || !scalar || v.e.Type() != record.String {
		return v, ok
	}
	return c.make(x.Pos, expr.JSONScalar, v.e)
}

// jsonbPath is jsonb_extract_path and jsonb_extract_path_text, which are refused: jsonb writes what
// it finds anew, with blanks, in another order, and with other digits.
func (c *compiler) jsonbPath(x *syntax.Call, _ leaf) (v value, ok bool) {
	c.fault(x.Pos, "%s is not supported, because jsonb writes JSON anew: write %s, which has it as it is in the text",
		x.Name, strings.Replace(x.Name, "jsonb", "json", 1))
	return v, false
}

// jsonPath is json_extract_path(x, key, ...).
func (c *compiler) jsonPath(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, expr.MaxPath+1) {
		return v, false
	}
	var keys []string
	for _, a := range x.Args[1:] {
		key, ok := c.constant(a, l, "a step of the path of "+x.Name)
		if !ok {
			return v, false
		}
		keys = append(keys, key)
	}
	return c.bindPath(x, keys, strings.HasSuffix(x.Name, "_text"), l)
}

// bindPath binds x->k->k, or with ->> at the end.
func (c *compiler) bindPath(x *syntax.Call, keys []string, text bool, l leaf) (value, bool) {
	if len(keys) > expr.MaxPath {
		c.fault(x.Pos, "a path of %d steps, at most %d are allowed", len(keys), expr.MaxPath)
		return value{}, false
	}
	e := x.Args[0]
	for i, k := range keys {
		op := "->"
		if text && i == len(keys)-1 {
			op = "->>"
		}
		e = &syntax.Binary{Pos: x.Pos, Op: op, X: e, Y: &syntax.Literal{Pos: x.Pos, Kind: syntax.String, Text: k}}
	}
	return c.bind(e, l)
}

// pathKeys are the steps of a path: $.a.b[0]."c d", or /a/b/0, or one name. fault says what is
// wrong with it, or is "".
func pathKeys(path string) (keys []string, fault string) {
	switch {
	case path == "":
		return nil, "the path is empty, expected one such as '$.a.b[0]'"
	case path[0] == '/':
		for _, k := range strings.Split(path[1:], "/") {
			keys = append(keys, strings.NewReplacer("~1", "/", "~0", "~").Replace(k))
		}
		return keys, ""
	case path[0] != '$':
		return []string{path}, ""
	}
	const expected = ", expected a path such as '$.a.b[0]'"
	rest := path[1:]
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, `."`):
			end := strings.IndexByte(rest[2:], '"')
			if end < 0 {
				return nil, "the path " + path + " has a quote that is not closed" + expected
			}
			keys, rest = append(keys, rest[2:2+end]), rest[end+3:]
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if name := rest[1:end]; name == "" || strings.ContainsAny(name, "*?@ ") {
				return nil, "the path " + path + " has a step that is no name" + expected
			}
			keys, rest = append(keys, rest[1:end]), rest[end:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, "the path " + path + " has a [ that is not closed" + expected
			}
			n, err := strconv.Atoi(rest[1:end])
			if err != nil {
				return nil, "the path " + path + " has a [...] that is no number" + expected
			}
			keys, rest = append(keys, strconv.Itoa(n)), rest[end+1:]
		default:
			return nil, "after $ the path " + path + " has " + strconv.Quote(rest[:1]) + expected
		}
	}
	return keys, ""
}
