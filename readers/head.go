package readers

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/velo-engine/velo/record"
)

// A head is what comes in a delimited file before its first record: a byte order mark, lines that
// are skipped, comments, and the names of the columns. Files, streams, connections and the code
// that guesses what a file is find the end of a head with the same function.

const byteOrderMark = "\ufeff"

// maxHeaderNames is how many names an error lists at most.
const maxHeaderNames = 20

// layout says which fields a line has.
type layout struct {
	fields  []field
	columns []int // column of each field; -1 if it is none
	missing []int // columns without a field
}

// newLayout makes the layout in which field i is column columns[i].
func newLayout(fields []field, columns []int) *layout {
	l := &layout{columns: columns}
	found := make([]bool, len(fields))
	for _, col := range columns {
		if col < 0 {
			l.fields = append(l.fields, field{kind: fieldText})
			continue
		}
		found[col] = true
		l.fields = append(l.fields, fields[col])
	}
	for col := range fields {
		if !found[col] {
			l.missing = append(l.missing, col)
		}
	}
	return l
}

// Head is the beginning of a delimited file.
type Head struct {
	// Bytes is how many bytes come before the first record, or before the header if that is a
	// record.
	Bytes int
	// First has the fields of the first line that is neither skipped nor a comment; nil if there is
	// none.
	First []string
	// Next is the position after that line.
	Next int

	// length is the length of that line, without the newline that ends it.
	length int
}

// ScanHead looks at the bytes that a file begins with. whole says that they are all of the file.
// enough is false if the head is longer than text. The first line is returned whether or not
// c.Header says that it has names.
func (c *DelimitedConfig) ScanHead(text []byte, whole bool) (h Head, enough bool) {
	format, err := newDelimitedFormat(*c)
	if err != nil {
		return Head{}, true // opening the file reports what is wrong
	}
	return format.scanHead(text, whole)
}

// skipHead finds the first line that is neither skipped nor a comment.
func (f *delimitedFormat) skipHead(text []byte, whole bool) (i int, enough bool) {
	if n := min(len(text), len(byteOrderMark)); string(text[:n]) == byteOrderMark[:n] {
		if n < len(byteOrderMark) && !whole {
			return 0, false
		} else if n == len(byteOrderMark) {
			i = n
		}
	}
	for skip := f.cfg.SkipLines; ; skip-- {
		line, _, ended := bytes.Cut(text[i:], []byte{'\n'})
		if !ended && !whole && (skip > 0 || f.passedOver(line) || len(line) == 0 || string(line) == "\r") {
			return i, false
		}
		if i == len(text) || skip <= 0 && !f.passedOver(line) {
			return i, true
		}
		i += len(line)
		if ended {
			i++
		}
	}
}

// scanHead finds the first line that is neither skipped nor a comment, and its end.
func (f *delimitedFormat) scanHead(text []byte, whole bool) (h Head, enough bool) {
	i, enough := f.skipHead(text, whole)
	h.Bytes, h.Next = i, i
	if !enough || i == len(text) {
		return h, enough
	}
	record := text[i:]
	end, state := -1, fieldStart
	for j, c := range record {
		if f.quoting.quote == 0 {
			state = bareField
		}
		state = f.quoting.next(state, c)
		if state == fieldStart && c == '\n' {
			end = j
			break
		}
	}
	switch {
	case end >= 0:
		h.Next = i + end + 1
	case !whole:
		return h, false
	default:
		end, h.Next = len(record), len(text)
	}
	h.length = end
	h.First = f.quoting.split(bytes.TrimSuffix(record[:end], []byte{'\r'}))
	return h, true
}

// passedOver says whether a line before the first record is ignored: a comment, or an empty line
// before a header.
func (f *delimitedFormat) passedOver(line []byte) bool {
	if f.cfg.Comment != 0 && len(line) > 0 && line[0] == f.cfg.Comment {
		return true
	}
	return (f.cfg.Header || len(f.own.fields) > 1) && len(bytes.TrimSuffix(line, []byte{'\r'})) == 0
}

// split returns the fields of a record, without their quotes.
func (q quoting) split(line []byte) (fields []string) {
	begin, state := 0, fieldStart
	for i := 0; i <= len(line); i++ {
		if i < len(line) {
			if q.quote == 0 {
				state = bareField
			}
			state = q.next(state, line[i])
			if state != fieldStart {
				continue
			}
		}
		text := line[begin:i]
		if n := len(text); n >= 2 && q.quote != 0 && text[0] == q.quote && text[n-1] == q.quote {
			text = bytes.ReplaceAll(text[1:n-1], []byte{q.quote, q.quote}, []byte{q.quote})
		}
		fields = append(fields, string(text))
		begin = i + 1
	}
	return fields
}

// ColumnNames makes column names of a header. They are in lower case and without blanks around
// them. A third column without a name is c3, and a second a is a_1.
func ColumnNames(header []string) []string {
	names := make([]string, len(header))
	seen := map[string]bool{}
	for i, h := range header {
		names[i] = strings.ToLower(strings.TrimSpace(h))
		if names[i] == "" {
			names[i] = fmt.Sprintf("c%d", i+1)
		}
		seen[names[i]] = true
	}
	taken := map[string]bool{}
	for i, name := range names {
		for n := 1; taken[names[i]]; n++ {
			if next := fmt.Sprintf("%s_%d", name, n); !seen[next] {
				names[i] = next
			}
		}
		taken[names[i]] = true
	}
	return names
}

// layoutOf finds the columns by the names of a header. Nullable columns may be missing, but not all
// columns.
func (f *delimitedFormat) layoutOf(header []string) (*layout, error) {
	names := ColumnNames(header)
	columns := make([]int, len(names))
	for i := range columns {
		columns[i] = -1
	}
	var lacking []string
	found := 0
	for col := range f.fields {
		want := f.cfg.columnName(col)
		at := slices.Index(names, want)
		for i := 0; at < 0 && i < len(names); i++ {
			if (strings.TrimSpace(header[i]) == want || strings.EqualFold(names[i], want)) && columns[i] < 0 {
				at = i
			}
		}
		switch {
		case at >= 0 && columns[at] < 0:
			columns[at] = col
			found++
		case !f.fields[col].nullable:
			lacking = append(lacking, want)
		}
	}
	if found == 0 {
		lacking = nil
		for col := range f.fields {
			lacking = append(lacking, f.cfg.columnName(col))
		}
	}
	if len(lacking) > 0 {
		return nil, fmt.Errorf("the header has no column %s; it has %s", listNames(lacking), listNames(names))
	}
	return newLayout(f.fields, columns), nil
}

// columnName is the name of a column in headers.
func (c *DelimitedConfig) columnName(col int) string {
	if c.Names != nil {
		return c.Names[col]
	}
	return c.Schema.Field(col).Name
}

// listNames lists names for an error.
func listNames(names []string) string {
	more := ""
	if n := len(names) - maxHeaderNames; n > 0 {
		names, more = names[:maxHeaderNames], fmt.Sprintf(" and %d more", n)
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%.60q", name)
	}
	return strings.Join(quoted, ", ") + more
}

// headScan finds the heads of the files that come one after the other in a stream.
type headScan struct{ format *delimitedFormat }

// headPlace is what is known about the head of one file.
type headPlace struct {
	// truncated says that the file was cut short. Its first line is then a header only if it has
	// the same names as before.
	truncated bool
	// header has the names in the head; nil if there are none, or they have not been read yet.
	header []string
}

// newHeadScan makes the headScan of one stream.
func (f *delimitedFormat) newHeadScan() *headScan { return &headScan{format: f} }

// scan looks at the bytes that a file begins with. It returns how many of them are the head, and
// what the fields are.
func (h *headScan) scan(place *headPlace, text []byte, whole bool) (n int, l *layout, enough bool, err error) {
	f := h.format
	if !f.cfg.Header {
		n, enough = f.skipHead(text, whole)
		if !enough && n == 0 && len(text) > f.cfg.MaxRecordBytes {
			return 0, nil, false, f.longHead() // a skipped line or a comment is too long
		}
		return n, f.own, enough, nil
	}
	head, enough := f.scanHead(text, whole)
	if !enough {
		switch {
		case len(text)-head.Bytes <= f.cfg.MaxRecordBytes:
			return 0, nil, false, nil
		case place.truncated:
			return head.Bytes, nil, true, nil // a record that is too long
		}
		return 0, nil, false, f.longHead()
	}
	if place.truncated && !slices.Equal(head.First, place.header) {
		return head.Bytes, nil, true, nil // a record; its fields are as before
	}
	if head.First == nil {
		return head.Bytes, f.own, true, nil
	}
	if head.length > f.cfg.MaxRecordBytes {
		return 0, nil, false, f.longHead()
	}
	place.header = head.First
	l, err = f.layoutFor(head.First)
	return head.Next, l, true, err
}

// layoutFor is the layout of a file with this header.
func (f *delimitedFormat) layoutFor(header []string) (*layout, error) {
	if !f.cfg.ByName {
		return f.own, nil
	}
	return f.layoutOf(header)
}

func (f *delimitedFormat) longHead() error {
	return fmt.Errorf("the first line has more than %d bytes, expected the names of the columns", f.cfg.MaxRecordBytes)
}

// fillHead reads the head of a file. It returns false if no more of the file can be read now.
func (s *lineStream) fillHead(f *filled) bool {
	for {
		if errors.Is(s.err, errTruncated) {
			s.rest = s.rest[:0] // what it was the beginning of is lost
			return true
		}
		n, l, enough, err := s.head.scan(&s.headPlace, s.rest, s.err != nil)
		if err != nil {
			f.cut = &record.Reject{
				Line: 1, Bytes: bytes.Clone(s.rest[:min(len(s.rest), record.MaxRejectBytes)]),
				Reason: err,
			}
			s.err, s.rest, s.inHead = err, s.rest[:0], false
			return true
		}
		if enough {
			s.offset += int64(n)
			s.line += int64(bytes.Count(s.rest[:n], []byte{'\n'}))
			s.rest = append(s.rest[:0], s.rest[n:]...)
			if l != nil {
				s.lay = l
			}
			s.inHead = false
			return true
		}
		had := len(s.rest)
		s.rest = slices.Grow(s.rest, s.blockBytes)
		n, s.err = s.in.Read(s.rest[had : had+s.blockBytes])
		s.rest = s.rest[:had+n]
		if other, ok := s.err.(*otherFile); ok { //nolint:errorlint // it comes from an input of this package, as it is
			s.next, s.err = other, nil
			s.turn()
			return false
		}
		if n == 0 && s.err == nil {
			return false
		}
	}
}
