package query

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// bytesFunctions are functions of bytea.
var bytesFunctions = map[string]func(*compiler, *syntax.Call, leaf) (value, bool){
	"encode": (*compiler).coding, "decode": (*compiler).coding, "sha224": (*compiler).sha, "sha256": (*compiler).sha,
	"sha384": (*compiler).sha, "sha512": (*compiler).sha, "convert_to": (*compiler).convert,
	"convert_from": (*compiler).convert,
}

// bytesTwins are the functions of texts that a bytea has, too. The first argument has been bound.
var bytesTwins map[string]func(*compiler, *syntax.Call, value, leaf) (value, bool)

func init() {
	bytesTwins = map[string]func(*compiler, *syntax.Call, value, leaf) (value, bool){
		"length": (*compiler).bytesLength, "octet_length": (*compiler).bytesLength, "md5": (*compiler).bytesMD5,
		"substring": (*compiler).subBytes, "substr": (*compiler).subBytes, "position": (*compiler).ofBytes,
		"trim": (*compiler).ofBytes, "btrim": (*compiler).ofBytes, "ltrim": (*compiler).ofBytes,
		"rtrim": (*compiler).ofBytes, "overlay": (*compiler).overlayBytes,
	}
}

// retyped is a bytea as a text of the same bytes, or the other way round.
func (c *compiler) retyped(pos syntax.Pos, e *expr.Expr, t record.Type) (value, bool) {
	e, err := expr.Retype(e, t)
	return c.made(pos, e, err)
}

func (c *compiler) bytesLength(x *syntax.Call, v value, _ leaf) (value, bool) {
	v, ok := c.retyped(x.Pos, v.e, record.String)
	if !ok {
		return v, false
	}
	return c.make(x.Pos, expr.OctetLength, v.e)
}

func (c *compiler) bytesMD5(x *syntax.Call, v value, _ leaf) (value, bool) {
	v, ok := c.retyped(x.Pos, v.e, record.String)
	if !ok {
		return v, false
	}
	return c.make(x.Pos, expr.MD5, v.e)
}

func (c *compiler) subBytes(x *syntax.Call, v value, l leaf) (value, bool) {
	args := []*expr.Expr{v.e}
	for _, a := range x.Args[1:] {
		n, ok := c.bind(a, l)
		if !ok {
			return n, false
		}
		e, ok := c.argument(n, record.Int64, a, x.Name)
		if !ok {
			return value{}, false
		}
		args = append(args, e)
	}
	return c.make(x.Pos, expr.SubBytes, args...)
}

// bytesOps are the operations of two byteas by their names.
var bytesOps = map[string]expr.Op{
	"trim": expr.TrimBytes, "btrim": expr.TrimBytes, "ltrim": expr.TrimBytesLeft,
	"rtrim": expr.TrimBytesRight,
}

// ofBytes is a function of two byteas.
func (c *compiler) ofBytes(x *syntax.Call, v value, l leaf) (value, bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	of, ok := c.bind(x.Args[1], l)
	if !ok {
		return of, false
	}
	e, ok := c.argument(of, record.Bytes, x.Args[1], x.Name)
	if !ok {
		return value{}, false
	}
	if x.Name == "position" { // of the first in the second
		return c.make(x.Pos, expr.PositionBytes, e, v.e)
	}
	return c.make(x.Pos, bytesOps[x.Name], v.e, e)
}

// overlayBytes is overlay(s PLACING r FROM a [FOR n]) of byteas: what comes before, r, and what
// comes after the bytes that are replaced.
func (c *compiler) overlayBytes(x *syntax.Call, _ value, l leaf) (value, bool) {
	one := wholeAt(x.Pos, "1")
	n := syntax.Expr(callOf(x, "octet_length", &syntax.Cast{
		Pos: x.Pos, X: x.Args[1], Type: syntax.TypeName{Pos: x.Pos, Name: "bytea"},
	}))
	if len(x.Args) == 4 {
		n = x.Args[3]
	}
	before := callOf(x, "substring", x.Args[0], one, binaryOf(x, "-", x.Args[2], one))
	after := callOf(x, "substring", x.Args[0], binaryOf(x, "+", x.Args[2], n))
	return c.bind(binaryOf(x, "||", binaryOf(x, "||", before, x.Args[1]), after), l)
}

// joinBytes is || of two byteas.
func (c *compiler) joinBytes(x *syntax.Binary, a, b value) (v value, ok bool) {
	a, okA := c.as(a, record.Bytes, x.X)
	b, okB := c.as(b, record.Bytes, x.Y)
	if !okA || !okB {
		return v, false
	}
	p, okA := c.retyped(x.Pos, a.e, record.String)
	q, okB := c.retyped(x.Pos, b.e, record.String)
	if !okA || !okB {
		return v, false
	}
	v, ok = c.make(x.Pos, expr.Join, p.e, q.e)
	if !ok {
		return v, false
	}
	return c.retyped(x.Pos, v.e, record.Bytes)
}

// first is the first argument of a call, as a value of a type.
func (c *compiler) first(x *syntax.Call, l leaf, t record.Type) (*expr.Expr, bool) {
	v, ok := c.bind(x.Args[0], l)
	if !ok {
		return nil, false
	}
	return c.argument(v, t, x.Args[0], x.Name)
}

// coding is encode(bytea, format) and decode(text, format).
func (c *compiler) coding(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	from, coded := record.Bytes, expr.Encode
	if x.Name == "decode" {
		from, coded = record.String, expr.Decode
	}
	e, ok := c.first(x, l, from)
	if !ok {
		return v, false
	}
	format, ok := c.constant(x.Args[1], l, "the format of "+x.Name)
	if !ok {
		return value{}, false
	}
	e, err := coded(e, format)
	return c.made(x.Args[1].Start(), e, err)
}

// sha is sha256(bytea) and its like.
func (c *compiler) sha(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	e, ok := c.first(x, l, record.Bytes)
	if !ok {
		return v, false
	}
	e, err := expr.SHA(e, strings.TrimPrefix(x.Name, "sha"))
	return c.made(x.Pos, e, err)
}

// convert is convert_to(text, 'UTF8') and convert_from(bytea, 'UTF8').
func (c *compiler) convert(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	from, to := record.String, record.Bytes
	if x.Name == "convert_from" {
		from, to = to, from
	}
	e, ok := c.first(x, l, from)
	if !ok {
		return v, false
	}
	encoding, ok := c.constant(x.Args[1], l, "the encoding of "+x.Name)
	if !ok {
		return value{}, false
	}
	if name := strings.ReplaceAll(strings.ToUpper(encoding), "-", ""); name != "UTF8" {
		c.fault(x.Args[1].Start(), "%s: there is no encoding %q, expected UTF8", x.Name, encoding)
		return value{}, false
	}
	v, ok = c.retyped(x.Pos, e, to)
	if !ok || to == record.Bytes {
		return v, ok
	}
	e, err := expr.Checked(x.Name+":", v.e, func(text string) error {
		if !utf8.ValidString(text) {
			return errors.New("the bytes are not UTF-8")
		}
		return nil
	})
	return c.made(x.Pos, e, err)
}
