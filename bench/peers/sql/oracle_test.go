package sql

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/record"
)

// oracle is a database that is asked the same as velo.
type oracle interface {
	name() string

	// wild says whether it fails where velo sets a record aside and has PostgreSQL's NULLs, NaN and text, so that wild tables mean the same to both.
	wild() bool

	// says has the constructs of the grammar, and the constants, that it says otherwise than velo: $1 is its first argument. One that it has not is empty.
	says() map[string]string

	// load replaces its table t.
	load(t table) error

	// rows are the rows of a query as cells of these types, or of what the database has for them. failed says that it has computed something and could not.
	rows(query string, types []record.Type) (all [][]cell, failed bool, err error)

	// without is what stands after FROM so that the query is over t without some rows.
	without(rows []int) string
}

// cell is a value that can be compared.
type cell struct {
	text   string // "NULL", or the value; of numbers that are not exact all digits, to sort by
	number float64
	kind   cellKind
	digits int // of the type, for numbers that are exact: what needs more is NULL in velo
}

type cellKind uint8

const (
	null cellKind = iota
	other
	exact
	rounded
)

func numberCell(f float64) cell {
	if f == 0 {
		f = 0 // -0 is 0
	}
	return cell{text: strconv.FormatFloat(f, 'e', 16, 64), number: f, kind: rounded}
}

// exactCell is a whole number or a decimal by its text.
func exactCell(s string) cell {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		f, err := strconv.ParseFloat(s, 64) // numeric has NaN and infinities
		if err != nil {
			return cell{text: "no number: " + s, kind: other}
		}
		return numberCell(f)
	}
	f, _ := r.Float64()
	text := r.RatString()
	if !r.IsInt() {
		text = strings.TrimRight(r.FloatString(40), "0")
	}
	return cell{text: text, number: f, kind: exact}
}

func timeCell(micros int64) cell {
	return cell{text: time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999"), kind: other}
}

// cellOf is a value of Go as a cell of a type.
func cellOf(v any, t record.Type) cell {
	switch v := v.(type) {
	case nil:
		return cell{text: "NULL"}
	case bool:
		return cell{text: strconv.FormatBool(v), kind: other}
	case int64:
		switch {
		case t == record.Bool:
			return cell{text: strconv.FormatBool(v != 0), kind: other}
		case t == record.Timestamp:
			return timeCell(v)
		}
		return cell{text: strconv.FormatInt(v, 10), number: float64(v), kind: exact}
	case int8:
		return cellOf(int64(v), t)
	case int16:
		return cellOf(int64(v), t)
	case int32:
		return cellOf(int64(v), t)
	case float64:
		return numberCell(v)
	case time.Time:
		return timeCell(v.UnixMicro())
	case string:
		return cell{text: strconv.Quote(v), kind: other}
	case []byte:
		return cell{text: strconv.Quote(string(v)), kind: other}
	}
	return cell{text: fmt.Sprintf("a %T", v), kind: other}
}

// sameCell says whether velo's value is the one of an oracle, or of velo in another exchange.
func sameCell(velo, theirs cell) bool {
	switch {
	case velo.kind == null && theirs.kind == exact:
		// A sum that does not fit.
		return velo.digits > 0 && math.Abs(theirs.number) >= math.Pow10(velo.digits)
	case velo.kind < exact || theirs.kind < exact || velo.kind == exact && theirs.kind == exact:
		return velo.kind == theirs.kind && velo.text == theirs.text
	}
	f, g := velo.number, theirs.number
	return f == g || f != f && g != g || math.Abs(f-g) <= max(2e-9*max(math.Abs(f), math.Abs(g)), 1e-9) &&
		!math.IsInf(f, 0) && !math.IsInf(g, 0)
}

func sameRow(a, b []cell) bool { return slices.EqualFunc(a, b, sameCell) }

func compareRows(a, b []cell) int {
	return slices.CompareFunc(a, b, func(x, y cell) int { return cmp.Compare(x.text, y.text) })
}

// sameRows says what is wrong with velo's rows, "" where nothing is. Their order is compared by the columns that they are ordered by.
func sameRows(velo, theirs [][]cell, order []orderBy) string {
	if len(velo) != len(theirs) {
		return fmt.Sprintf("%d rows, expected %d\n", len(velo), len(theirs)) + difference(velo, theirs)
	}
	for i, row := range velo {
		for _, o := range order {
			if !sameCell(row[o.column], theirs[i][o.column]) {
				return fmt.Sprintf("row %d is ordered otherwise:\n+ %s\n- %s\n", i, show(row), show(theirs[i]))
			}
		}
	}
	p, q := slices.Clone(velo), slices.Clone(theirs)
	slices.SortFunc(p, compareRows)
	slices.SortFunc(q, compareRows)
	if slices.EqualFunc(p, q, sameRow) {
		return ""
	}
	return difference(p, q)
}

// difference is the first rows that one has and the other has not. Numbers that are not exact may sort otherwise, so each row is looked for.
func difference(velo, theirs [][]cell) string {
	var b strings.Builder
	left, rest := slices.Clone(theirs), [][]cell(nil)
	for _, row := range velo {
		// Rows that are close to each other must not take the place of those that are the same.
		if i := slices.IndexFunc(left, func(other []cell) bool { return compareRows(row, other) == 0 }); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			rest = append(rest, row)
		}
	}
	for _, row := range rest {
		if i := slices.IndexFunc(left, func(other []cell) bool { return sameRow(row, other) }); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else if b.Len() < 600 {
			fmt.Fprintf(&b, "+ %s\n", show(row))
		}
	}
	for i, row := range left {
		if i < 5 {
			fmt.Fprintf(&b, "- %s\n", show(row))
		}
	}
	return b.String()
}

func show(row []cell) string {
	var all []string
	for _, c := range row {
		if c.kind == rounded {
			all = append(all, strconv.FormatFloat(c.number, 'g', -1, 64))
		} else {
			all = append(all, c.text)
		}
	}
	return strings.Join(all, " | ")
}

// leaveOut is a list of rows in SQL.
func leaveOut(rows []int) string {
	var all []string
	for _, r := range rows {
		all = append(all, strconv.Itoa(r))
	}
	return strings.Join(all, ", ")
}
