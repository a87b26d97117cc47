package catalog

import (
	_ "embed"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// OIDs of types that the evaluator knows by themselves.
const (
	oidBool        = 16
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt2Vector  = 22
	oidInt4        = 23
	oidRegproc     = 24
	oidText        = 25
	oidOID         = 26
	oidOIDVector   = 30
	oidFloat4      = 700
	oidFloat8      = 701
	oidUnknown     = 705
	oidTextArray   = 1009
	oidNameArray   = 1003
	oidInt4Array   = 1007
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidRegclass    = 2205
	oidRegtype     = 2206
	oidRecord      = 2249
	oidVoid        = 2278
	oidRegrole     = 4096
	oidRegnsp      = 4089
)

// rowsText has rows of relations that are the same in every database, as COPY writes them.
//
//go:embed rows.txt
var rowsText string

// relationsText has the relations of PostgreSQL 15: name, OID, kind, columns with their types.
//
//go:embed relations.txt
var relationsText string

// A typeInfo is what is known of a type of PostgreSQL.
type typeInfo struct {
	oid, elem, array uint32
	name             string
	category         byte
}

// types are all types, by OID and by name.
var types = sync.OnceValue(func() (t struct {
	byOID  map[uint32]*typeInfo
	byName map[string]*typeInfo
},
) {
	t.byOID, t.byName = map[uint32]*typeInfo{}, map[string]*typeInfo{}
	for _, r := range constantRows("pg_type") {
		info := &typeInfo{
			oid: number(r[0]), name: r[1], category: r[7][0], elem: number(r[13]), array: number(r[14]),
		}
		t.byOID[info.oid], t.byName[info.name] = info, info
	}
	return t
})

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

// constantRows are the rows of a relation in rowsText.
func constantRows(name string) (rows [][]string) {
	_, rest, ok := strings.Cut(rowsText, "@"+name+"\n")
	if !ok {
		return nil
	}
	for line := range strings.Lines(rest) {
		if line[0] == '@' {
			break
		}
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

// spoken are the names that SQL has for types, and the names that PostgreSQL keeps.
var spoken = map[string]string{
	"int": "int4", "integer": "int4", "bigint": "int8", "smallint": "int2", "real": "float4", "boolean": "bool",
	"decimal": "numeric", "dec": "numeric", "float": "float8", "double precision": "float8", "string": "text",
	"character varying": "varchar", "character": "bpchar", "timestamp with time zone": "timestamptz",
	"timestamp without time zone": "timestamp", "time without time zone": "time", "time with time zone": "timetz",
	"bit varying": "varbit", "char": "char",
	"sql_identifier": "name", "cardinal_number": "int4", "character_data": "varchar", "yes_or_no": "varchar",
}

// TypeOID is the OID of a type by one of its names; a name ends with [] for an array.
func TypeOID(name string) (uint32, bool) {
	base, isArray := strings.CutSuffix(name, "[]")
	if s, ok := spoken[base]; ok {
		base = s
	}
	t := types().byName[base]
	if t == nil {
		return 0, false
	}
	if isArray {
		return t.array, t.array != 0
	}
	return t.oid, true
}

func arrayOf(oid uint32) uint32 {
	if t := types().byOID[oid]; t != nil && t.array != 0 {
		return t.array
	}
	return oidTextArray
}

// elementOf is the type of the elements of an array type; 0 if it is none.
func elementOf(oid uint32) uint32 {
	t := types().byOID[oid]
	if t == nil || t.category != 'A' {
		return 0
	}
	return t.elem
}

func isArray(oid uint32) bool { return elementOf(oid) != 0 }

// TextLike says that a type has the same bytes in text and in binary format.
func TextLike(oid uint32) bool {
	switch oid {
	case oidText, oidName, oidChar, oidVarchar, oidBpchar, oidUnknown, oidVoid, 114 /* json */, 142 /* xml */, 194:
		return true
	}
	return false
}

func isInteger(oid uint32) bool {
	switch oid {
	case oidInt2, oidInt4, oidInt8, oidOID, 28, 29:
		return true
	}
	return IsReg(oid)
}

// IsReg says that a type is an OID that is written as the name of an object.
func IsReg(oid uint32) bool {
	switch oid {
	case oidRegclass, oidRegtype, oidRegrole, oidRegnsp, oidRegproc:
		return true
	}
	return false
}

func isNumber(oid uint32) bool {
	return isInteger(oid) || oid == oidFloat4 || oid == oidFloat8 || oid == oidNumeric
}

// sqlNames are the names that format_type writes for types which SQL calls otherwise.
var sqlNames = map[string]string{
	"int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision",
	"bool": "boolean", "varchar": "character varying", "bpchar": "character", "timestamptz": "timestamp with time zone",
	"timestamp": "timestamp without time zone", "time": "time without time zone", "timetz": "time with time zone",
	"char": `"char"`, "varbit": "bit varying",
}

// formatType is the name of a type as SQL writes it, with its length if mod has one.
func formatType(oid uint32, mod int64, withMod bool) string {
	t := types().byOID[oid]
	switch {
	case oid == 0:
		return "-"
	case t == nil:
		return "???"
	case t.category == 'A' && t.elem != 0 && oid != oidInt2Vector && oid != oidOIDVector:
		return formatType(t.elem, mod, withMod) + "[]"
	}
	name := t.name
	if s, ok := sqlNames[name]; ok {
		name = s
	}
	if !withMod || mod < 0 {
		if oid == oidBpchar && withMod {
			return "bpchar"
		}
		return name
	}
	switch oid {
	case oidNumeric:
		if mod >= 4 {
			return name + "(" + strconv.FormatInt(
				(mod-4)>>16&0xffff,
				10,
			) + "," + strconv.FormatInt(
				(mod-4)&0x7ff,
				10,
			) + ")"
		}
	case oidVarchar, oidBpchar:
		return name + "(" + strconv.FormatInt(mod-4, 10) + ")"
	}
	return name
}

// input reads a value from its text, as a constant in quotes has it.
func (d *Database) input(oid uint32, s string, pos int) (any, error) {
	bad := func() error {
		return fault(codeBadText, pos, "invalid input syntax for type %s: %q", formatType(oid, -1, false), s)
	}
	trimmed := strings.TrimSpace(s)
	switch oid {
	case oidBool:
		switch strings.ToLower(trimmed) {
		case "t", "true", "y", "yes", "on", "1":
			return true, nil
		case "f", "false", "n", "no", "off", "0":
			return false, nil
		}
		return nil, bad()
	case oidInt2, oidInt4, oidInt8, oidOID, 28, 29:
		n, err := strconv.ParseInt(trimmed, 10, 64)
		if err != nil {
			return nil, bad()
		}
		return n, inRange(oid, n, pos)
	case oidFloat4, oidFloat8, oidNumeric:
		f, err := strconv.ParseFloat(trimmed, 64)
		if err != nil {
			return nil, bad()
		}
		return f, nil
	case oidRegclass, oidRegtype, oidRegrole, oidRegnsp, oidRegproc:
		return d.object(oid, trimmed, pos)
	case oidTimestamp, oidTimestamptz, oidDate:
		return timeInput(trimmed, bad)
	case oidName:
		return s[:min(len(s), 63)], nil
	case oidChar:
		return s[:min(len(s), 1)], nil
	case oidInt2Vector, oidOIDVector:
		var all []any
		for _, f := range strings.Fields(s) {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return nil, bad()
			}
			all = append(all, n)
		}
		return all, nil
	}
	if e := elementOf(oid); e != 0 {
		return d.arrayInput(e, s, bad, pos)
	}
	return s, nil
}

func inRange(oid uint32, n int64, pos int) error {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch oid {
	case oidInt2:
		lo, hi = math.MinInt16, math.MaxInt16
	case oidInt4:
		lo, hi = math.MinInt32, math.MaxInt32
	case oidOID:
		lo, hi = math.MinInt32, math.MaxUint32
	}
	if n < lo || n > hi {
		return fault(codeRange, pos, "value \"%d\" is out of range for type %s", n, formatType(oid, -1, false))
	}
	return nil
}

func timeInput(s string, bad func() error) (any, error) {
	if strings.EqualFold(s, "now") {
		return time.Now().UTC(), nil
	}
	for _, layout := range []string{
		"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07", time.RFC3339Nano,
		"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04", "2006-01-02",
	} {
		t, err := time.Parse(layout, s)
		if err == nil {
			return t.UTC(), nil
		}
	}
	return nil, bad()
}

// arrayInput reads {a,b,"c d",NULL}.
func (d *Database) arrayInput(elem uint32, s string, bad func() error, pos int) (any, error) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, bad()
	}
	all := []any{}
	body := s[1 : len(s)-1]
	for i := 0; i < len(body); {
		var b strings.Builder
		quoted := false
		for ; i < len(body) && body[i] != ','; i++ {
			switch {
			case body[i] == '"':
				quoted = true
				for i++; i < len(body) && body[i] != '"'; i++ {
					if body[i] == '\\' && i+1 < len(body) {
						i++
					}
					b.WriteByte(body[i])
				}
			case body[i] == '{' || body[i] == '}':
				return nil, bad()
			default:
				b.WriteByte(body[i])
			}
		}
		i++
		text := b.String()
		if !quoted {
			text = strings.TrimSpace(text)
		}
		if !quoted && strings.EqualFold(text, "null") {
			all = append(all, nil)
			continue
		}
		v, err := d.input(elem, text, pos)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Text writes a value as PostgreSQL writes one of its type.
func (d *Database) Text(v any, oid uint32) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "t"
		}
		return "f"
	case int64:
		return d.integerText(v, oid)
	case float64:
		return floatText(v, oid)
	case string:
		return v
	case time.Time:
		return timeText(v, oid)
	case []any:
		if oid == oidRecord {
			return d.recordText(v)
		}
		return d.arrayText(v, oid)
	case record:
		return d.recordText(v.fields)
	}
	return ""
}

// A record is a composite value.
type record struct{ fields []any }

func (d *Database) integerText(n int64, oid uint32) string {
	if IsReg(oid) {
		return d.objectName(oid, n)
	}
	return strconv.FormatInt(n, 10)
}

func floatText(f float64, oid uint32) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64)[:1], "+") + "Infinity"
	}
	a := math.Abs(f)
	if oid != oidNumeric && a != 0 && (a < 1e-4 || a >= 1e15) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func timeText(t time.Time, oid uint32) string {
	layout := "2006-01-02 15:04:05.999999"
	switch oid {
	case oidDate:
		layout = "2006-01-02"
	case oidTimestamptz:
		layout += "-07"
	}
	return t.Format(layout)
}

func (d *Database) arrayText(all []any, oid uint32) string {
	elem := elementOf(oid)
	if elem == 0 {
		elem = oidText
	}
	parts := make([]string, len(all))
	vector := oid == oidInt2Vector || oid == oidOIDVector
	for i, v := range all {
		switch {
		case v == nil:
			parts[i] = "NULL"
		case vector:
			parts[i] = d.Text(v, elem)
		default:
			parts[i] = quoteElement(d.Text(v, elem))
		}
	}
	if vector {
		return strings.Join(parts, " ")
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func quoteElement(s string) string {
	if s != "" && !strings.ContainsAny(s, "{},\"\\ \t\n\r") && !strings.EqualFold(s, "null") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (d *Database) recordText(fields []any) string {
	parts := make([]string, len(fields))
	for i, v := range fields {
		if v == nil {
			continue
		}
		s := d.Text(v, typeOfValue(v))
		if s == "" || strings.ContainsAny(s, "(),\"\\ \t\n") {
			s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `""`).Replace(s) + `"`
		}
		parts[i] = s
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// typeOfValue guesses the type of a value that has lost it.
func typeOfValue(v any) uint32 {
	switch v.(type) {
	case bool:
		return oidBool
	case int64:
		return oidInt8
	case float64:
		return oidFloat8
	case time.Time:
		return oidTimestamptz
	case []any:
		return oidTextArray
	}
	return oidText
}
