package readers

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// maxNumberBytes bounds a number whose decimal comma is replaced by a point. No number that fits a
// column is longer.
const maxNumberBytes = 400

// ValueOptions say how values are written. The zero value stands for the usual forms.
type ValueOptions struct {
	// TimeUnit is the unit of numbers in a timestamp column, which count from 1970: time.Second,
	// Millisecond, Microsecond or Nanosecond. The number may have a fraction, and quotes. If it is
	// 0, a number is not a timestamp, unless it looks like 20260131.
	TimeUnit time.Duration

	// TimeFormat is the form of texts in timestamp columns. If it is nil, all forms of
	// record.ParseTime are read.
	TimeFormat *record.TimeFormat

	// TimeZone is the zone of times that do not say theirs; nil is UTC. A TimeFormat has its own
	// zone.
	TimeZone *time.Location

	// Nulls are words that stand for NULL in delimited files, in any nullable column, with or
	// without quotes.
	Nulls []string

	// DecimalComma says that numbers in delimited files have a comma instead of the point. A point
	// in a number is then refused.
	DecimalComma bool

	// Strict has every value of every column checked, also of columns that nobody reads. Without it
	// a column that no plan reads is not converted, and what is wrong in it sets nothing aside,
	// except that a column that is not nullable must have a value. See record.Projector.
	Strict bool

	// NoCodes refuses texts that would lose something as a value of their column: a number with a
	// leading zero or a plus sign, a whole number beyond 2^53 in a double precision column, which
	// cannot hold all of them, and a boolean that is not true or false. It is for columns whose
	// types were guessed: two different codes must not become the same number.
	NoCodes bool
}

func (o *ValueOptions) validate(fault func(format string, args ...any)) {
	switch o.TimeUnit {
	case 0, time.Nanosecond, time.Microsecond, time.Millisecond, time.Second:
	default:
		fault("a time unit of %v, expected 1s, 1ms, 1us, 1ns, or 0 for none", o.TimeUnit)
	}
	for _, word := range o.Nulls {
		if word == "" || strings.ContainsAny(word, "\r\n") {
			fault("%q stands for NULL, expected a word of one line", word)
		}
	}
}

// A ValueError says that a value does not have its column's type, or is NULL in a column that is
// not nullable. It is the reason of a reject.
type ValueError struct {
	Column string
	// Value is the value as written, in JSON with its quotes. It is cut to MaxErrorValue bytes, and
	// empty if there is no value.
	Value string
	Err   error
}

// MaxErrorValue is how many bytes of a value a ValueError has at most. No number or time needs
// more.
const MaxErrorValue = 512

func newValueError(column string, value []byte, err error) *ValueError {
	return &ValueError{column, string(value[:min(len(value), MaxErrorValue)]), err}
}

// Error names the column.
func (e *ValueError) Error() string { return fmt.Sprintf("column %q: %v", e.Column, e.Err) }

// Unwrap returns what is wrong with the value.
func (e *ValueError) Unwrap() error { return e.Err }

// A ValueParser says which texts are values of a type. A reader with the same options accepts the
// same texts.
type ValueParser struct{ field field }

// NewValueParser makes a ValueParser of a type that a column may have.
func NewValueParser(t record.Type, o ValueOptions) *ValueParser {
	return &ValueParser{compileField(record.Field{Type: t}, '"', &o)}
}

// Check returns nil if a text is a value of the type, and otherwise why it is not. An empty text is
// a value only of type text.
func (p *ValueParser) Check(text []byte) error {
	if p.field.kind == fieldText {
		return nil
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return errEmpty
	}
	_, _, err := p.field.value(text)
	return err
}

var errEmpty = errors.New("empty, and not nullable")

// valueRules say how values are read that are not written in the usual way. Each field has the
// options, and what follows from them.
type valueRules struct {
	ValueOptions
	careful bool // no fast path, because what it accepts may mean something else here
}

// compileRules decides how the values of a column are read.
func compileRules(kind fieldKind, o *ValueOptions, scale int) valueRules {
	r := valueRules{ValueOptions: *o}
	switch kind {
	case fieldTime:
		r.careful = o.TimeFormat != nil
	case fieldFloat:
		r.careful = o.DecimalComma
	case fieldNumber:
		r.careful = o.DecimalComma && scale > 0
	}
	if kind != fieldText {
		for _, word := range o.Nulls {
			// The word may be a number, which the fast paths would read as one.
			r.careful = r.careful || strings.ContainsAny(word, "0123456789")
		}
	}
	return r
}

// isNull says whether a text is one of the words that stand for NULL.
func (r *valueRules) isNull(text []byte) bool {
	for _, word := range r.Nulls {
		if string(text) == word {
			return true
		}
	}
	return false
}

// value reads a value of any type except text, without blanks around it. text is not empty.
func (f *field) value(text []byte) (n int64, x float64, err error) {
	if f.codes != 0 && f.kind.isCode(text) {
		return 0, 0, errCode(text)
	}
	switch f.kind {
	case fieldNumber:
		if f.rules.DecimalComma && f.scale > 0 {
			var point [maxNumberBytes]byte
			text, err = withPoint(point[:], text)
			if err != nil {
				return 0, 0, err
			}
		}
		n, err = f.number(text)
	case fieldFloat:
		x, err = f.float(text)
	case fieldBool:
		n, err = parseBool(text)
	case fieldTime:
		n, err = f.time(text)
	case fieldLogical, fieldBytes:
		if f.comma() {
			var point [maxNumberBytes]byte
			text, err = withPoint(point[:], text)
			if err != nil {
				return 0, 0, err
			}
		}
		var word uint64
		word, _, err = record.ParseLogical(nil, f.logical, view(text)) // its error quotes a copy
		n = int64(word)
	}
	return n, x, err
}

// isCode says whether a text is a code rather than a value, and would lose something as a value.
// The text is not empty.
func (k fieldKind) isCode(text []byte) bool {
	switch k {
	case fieldBool:
		return !bytes.EqualFold(text, []byte("true")) && !bytes.EqualFold(text, []byte("false"))
	case fieldText, fieldTime, fieldLogical, fieldBytes:
		return false
	}
	digits := bytes.TrimPrefix(text, []byte{'-'})
	if text[0] == '+' && len(text) > 1 && (text[1] == '.' || text[1]-'0' <= 9) || len(digits) > 1 && digits[0] == '0' &&
		digits[1] >= '0' && digits[1] <= '9' {
		return true
	}
	if k == fieldNumber || len(digits) < 16 || len(bytes.Trim(digits, "0123456789")) > 0 {
		return false
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	return err != nil || n > maxExact
}

// maxExact is the limit up to which a double can hold every whole number.
const maxExact = 1 << 53

func errCode(text []byte) error {
	return fmt.Errorf("%.40q is a code: as a value it could not be told from another", text)
}

// withPoint copies a number to to, with a point instead of its comma.
func withPoint(to, text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '.') >= 0 || len(text) > len(to) {
		return nil, fmt.Errorf("%.40q is not a number with a decimal comma", text)
	}
	to = to[:copy(to, text)]
	if i := bytes.IndexByte(to, ','); i >= 0 {
		to[i] = '.'
	}
	return to, nil
}

// float reads a double.
func (f *field) float(text []byte) (float64, error) {
	if f.rules.DecimalComma {
		var point [maxNumberBytes]byte
		with, err := withPoint(point[:], text)
		if err != nil {
			return 0, err
		}
		text = with
	}
	// ParseFloat keeps its argument only in its error, which is replaced here. Go's numbers in base
	// 16 are not accepted in files.
	x, err := strconv.ParseFloat(view(text), 64)
	if err != nil || bytes.ContainsAny(text, "xX_") {
		return 0, fmt.Errorf("%.40q is not a double precision", text)
	}
	return x, nil
}

// time reads a timestamp from the text of a field or of a JSON string.
func (f *field) time(text []byte) (int64, error) {
	s := view(text) // the parsers keep nothing of it
	if f.rules.TimeFormat != nil {
		return f.rules.TimeFormat.Parse(s)
	}
	number := s != "" && strings.Trim(s, "+-0123456789.eE \t") == "" &&
		!strings.Contains(strings.TrimLeft(s, " \t+-"), "-")
	if number && f.rules.TimeUnit != 0 {
		return record.ParseEpoch(s, f.rules.TimeUnit)
	}
	v, err := record.ParseTime(s, f.rules.TimeZone)
	if err != nil && number {
		return 0, fmt.Errorf("%w; for a number since 1970, say its time unit: s, ms, us or ns", err)
	}
	return v, err
}

// view returns a text as a string without a copy. It is valid as long as the text does not change.
func view(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// read reads any field. It is the twin of the fast paths in parse, and also reads NULLs, long
// numbers, blanks around values, and everything that is wrong.
func (f *field) read(b *record.Batch, col, row int, text []byte) error {
	c := b.Column(col)
	if len(text) > 0 && text[0] == '"' && !f.quoted {
		return fmt.Errorf("%.40q begins with a quote, and the format has none", text)
	}
	if f.kind == fieldText { // only empty texts come here
		if f.nullable {
			f.null(b, col, row)
		} else {
			c.Views[row] = record.View{}
		}
		return nil
	}
	if f.kind == fieldNumber && !f.rules.careful {
		if v, ok := f.longNumber(text); ok {
			c.Int64s[row] = v
			return nil
		}
	}
	whole := text
	text = bytes.TrimSpace(text)
	if f.nullable && (len(text) == 0 || f.rules.isNull(text)) {
		f.null(b, col, row)
		return nil
	} else if len(text) == 0 {
		return errEmpty
	}
	if f.kind == fieldBytes {
		return f.decode(c, row, whole)
	}
	n, x, err := f.value(text)
	if err != nil {
		return err
	}
	if f.kind == fieldFloat {
		c.Float64s[row] = x
	} else {
		c.Int64s[row] = n
	}
	return nil
}

// nullWords makes NULL the texts in the rows from..to that are words for NULL.
func (f *field) nullWords(b *record.Batch, col, from, to int) {
	if !f.nullable {
		return
	}
	for row := from; row < to; row++ {
		if c := b.Column(col); !c.Null(row) && f.rules.isNull(c.View(row)) {
			f.null(b, col, row)
		}
	}
}
