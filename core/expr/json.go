package expr

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/record"
)

// MaxPath bounds the steps of a path in JSON.
const MaxPath = 64

// A jsonPath is a path in JSON. text says that a string at its end is returned without quotes.
type jsonPath struct {
	keys []string
	text bool
}

// JSON returns what a path leads to in a text that has JSON. The result is JSON. If text is set it
// is what PostgreSQL's ->> returns: a string without its quotes, and NULL for null. A path that
// leads nowhere is NULL. A text that is no JSON fails. Each key is the name of a field or the
// number of an element.
func JSON(x *Expr, keys []string, text bool) (*Expr, error) {
	if len(keys) == 0 || len(keys) > MaxPath {
		return nil, errors.New("expr: a path of " + strconv.Itoa(len(keys)) + " steps, expected 1 to " +
			strconv.Itoa(MaxPath))
	}
	name := ""
	for i, k := range keys {
		arrow := "->"
		if text && i == len(keys)-1 {
			arrow = "->>"
		}
		name += arrow + quote(k)
	}
	return build(&Expr{op: opJSON, name: name, args: []*Expr{x}, aux: jsonPath{keys, text}})
}

func jsonTypes(e *Expr) error {
	err := signature(record.String, false, record.String)(e)
	e.nullable = true
	return err
}

var errJSON = errors.New("it is no JSON")

// evalJSON goes down the path. Each step decodes the fields of one object, but not what is in the
// fields.
func evalJSON(e *Expr, a []Value) (Value, error) {
	p, at := e.aux.(jsonPath), []byte(strings.TrimSpace(a[0].Text))
	for _, key := range p.keys {
		switch {
		case len(at) > 0 && at[0] == '{':
			var fields map[string]json.RawMessage
			if json.Unmarshal(at, &fields) != nil {
				return Value{}, errJSON
			}
			at = fields[key]
		case len(at) > 0 && at[0] == '[':
			var elements []json.RawMessage
			if json.Unmarshal(at, &elements) != nil {
				return Value{}, errJSON
			}
			i, err := strconv.Atoi(key)
			if i < 0 {
				i += len(elements)
			}
			if err != nil || i < 0 || i >= len(elements) {
				return Value{Null: true}, nil
			}
			at = elements[i]
		case !json.Valid(at):
			return Value{}, errJSON
		default:
			return Value{Null: true}, nil // numbers, strings, true, false and null have no fields
		}
		if at == nil {
			return Value{Null: true}, nil
		}
	}
	if p.text {
		if string(at) == "null" {
			return Value{Null: true}, nil
		}
		if at[0] == '"' {
			var s string
			if json.Unmarshal(at, &s) != nil {
				return Value{}, errJSON
			}
			return Value{Text: s}, nil
		}
	}
	return Value{Text: string(at)}, nil
}

var errNoArray = errors.New("it is no JSON array")

// evalOfJSON evaluates the functions of a text that is JSON as a whole.
func evalOfJSON(e *Expr, a []Value) (Value, error) {
	text := strings.TrimSpace(a[0].Text)
	at := []byte(text)
	valid := json.Valid(at)
	switch {
	case e.op == JSONValid:
		return Value{Bits: word(valid)}, nil
	case !valid:
		return Value{}, errJSON
	case e.op == JSONText:
		return a[0], nil
	case e.op == JSONType:
		return Value{Text: kindOfJSON(at[0])}, nil
	case e.op == JSONLength:
		var elements []json.RawMessage
		if at[0] != '[' || json.Unmarshal(at, &elements) != nil {
			return Value{}, errNoArray
		}
		return Value{Bits: uint64(len(elements))}, nil
	}
	switch kindOfJSON(at[0]) {
	case "object", "array", "null":
		return Value{Null: true}, nil
	case "string":
		var s string
		if json.Unmarshal(at, &s) != nil {
			return Value{}, errJSON
		}
		return Value{Text: s}, nil
	}
	return Value{Text: text}, nil
}

// kindOfJSON is the kind of a value of JSON by its first byte.
func kindOfJSON(first byte) string {
	switch first {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
