package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// dateFunctions are functions of times that are not in the table functions.
var dateFunctions = map[string]func(*compiler, *syntax.Call, leaf) (value, bool){
	"extract": (*compiler).timeField, "date_part": (*compiler).timeField, "datepart": (*compiler).timeField,
	"date_trunc": (*compiler).timeField, "datetrunc": (*compiler).timeField,
	"timezone": (*compiler).timezone, "to_char": (*compiler).toChar, "date_bin": (*compiler).dateBin,
	"time_bucket": (*compiler).timeBucket, "to_date": (*compiler).toDate, "strptime": (*compiler).strptime,
	"strftime": (*compiler).strftime, "date_add": (*compiler).dateAdd, "date_sub": (*compiler).dateAdd,
	"date_diff": (*compiler).dateDiff, "datediff": (*compiler).dateDiff, "make_date": (*compiler).makeDate,
	"last_day": (*compiler).lastDay, "epoch_ms": (*compiler).epochMs, "date": (*compiler).dateOf,
	"now": (*compiler).now, "current_timestamp": (*compiler).now, "transaction_timestamp": (*compiler).now,
	"statement_timestamp": (*compiler).now, "current_date": (*compiler).now, "today": (*compiler).now,
	"localtimestamp": (*compiler).now, "localtime": (*compiler).now, "get_current_timestamp": (*compiler).now,
	"try_strptime": (*compiler).tryStrptime, "age": (*compiler).age, "overlaps": (*compiler).overlaps,
	"make_interval": (*compiler).makeInterval, "justify_hours": (*compiler).justifyHours,
}

// fieldFunctions are functions with the name of a field of a time, such as year(at).
var fieldFunctions = []string{
	"year", "month", "day", "hour", "minute", "second", "quarter", "week", "isodow", "isoyear", "decade", "century",
	"millennium", "millisecond", "microsecond", "epoch", "dayofmonth", "dayofyear", "weekofyear", "monthname",
	"dayname",
}

// fieldAliases are other names of fields of times.
var fieldAliases = map[string]string{
	"dayofmonth": "day", "dayofyear": "doy", "dayofweek": "dow", "weekday": "dow", "weekofyear": "week",
	"years": "year", "yr": "year", "y": "year", "months": "month", "mon": "month", "days": "day", "d": "day",
	"hours": "hour", "hr": "hour", "h": "hour", "minutes": "minute", "min": "minute", "mins": "minute", "m": "minute",
	"seconds": "second", "sec": "second", "secs": "second", "s": "second", "ms": "milliseconds", "us": "microseconds",
	"weeks": "week", "w": "week", "quarters": "quarter", "decades": "decade", "centuries": "century",
	"millenniums": "millennium", "msec": "milliseconds", "usec": "microseconds",
}

// fieldOf is the name that velo has for a field of a time.
func fieldOf(name string) string {
	name = strings.ToLower(name)
	if of, ok := fieldAliases[name]; ok {
		return of
	}
	return name
}

// timeArgument is an argument that must be a timestamp.
func (c *compiler) timeArgument(e syntax.Expr, l leaf, of string) (*expr.Expr, bool) {
	v, ok := c.bind(e, l)
	if !ok {
		return nil, false
	}
	return c.argument(v, record.Timestamp, e, of)
}

// fieldFunction is year(at) and similar functions. The seconds are whole.
func (c *compiler) fieldFunction(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	at := v.e
	if at.Type() != record.TimeOfDay || strings.HasSuffix(x.Name, "name") {
		at, ok = c.argument(v, record.Timestamp, x.Args[0], x.Name)
		if !ok {
			return v, false
		}
	}
	if format, ok := map[string]string{"monthname": "FMMonth", "dayname": "FMDay"}[x.Name]; ok {
		e, err := expr.ToChar(at, format)
		return c.made(x.Pos, e, err)
	}
	e, err := expr.Extract(fieldOf(x.Name), at)
	v, ok = c.made(x.Pos, e, err)
	if !ok || x.Name != "second" && x.Name != "millisecond" {
		return v, ok
	}
	v, ok = c.make(x.Pos, expr.Floor, v.e)
	return value{e: c.to(v.e, record.Int64)}, ok
}

// now is the time at which the query is compiled, so it is the same for all records.
func (c *compiler) now(x *syntax.Call, _ leaf) (v value, ok bool) {
	if !c.arity(x, 0, 0) {
		return v, false
	}
	if c.began.IsZero() {
		*c.began = time.Now().Truncate(time.Microsecond)
	}
	v = value{e: expr.Int(record.Timestamp, c.began.UnixNano())}
	if x.Name == "current_date" || x.Name == "today" {
		v, ok = c.day(v, x.Pos)
		v.wall, v.date = true, true
		return v, ok
	}
	v.wall = x.Name == "localtimestamp"
	if x.Name == "localtime" {
		return value{e: c.to(v.e, record.TimeOfDay)}, true
	}
	return v, true
}

// nows are functions that may be called without parentheses.
var nows = []string{"current_date", "current_timestamp", "localtimestamp", "localtime"}

// bareNow is a name that stands for the present time, unless the source has a column of that name.
func (c *compiler) bareNow(x *syntax.Ident) bool {
	column := c.isColumn(x.Name)
	return x.Table == "" && !column && slices.Contains(nows, x.Name)
}

// textLiteral is an argument that is a text constant.
func textLiteral(e syntax.Expr) (*syntax.Literal, bool) {
	x, ok := e.(*syntax.Literal)
	return x, ok && x.Kind == syntax.String
}

// timeBucket is time_bucket(width, at [, origin]) as in DuckDB and TimescaleDB: bins are counted
// from 2000-01-03, a Monday, and bins of months from 2000-01-01.
func (c *compiler) timeBucket(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 3) {
		return v, false
	}
	width, ok := c.bind(c.asInterval(x.Args[0]), l)
	if !ok {
		return v, false
	}
	if width.interval && width.months != 0 {
		if len(x.Args) == 3 || !isZero(width.e) {
			c.fault(x.Args[0].Start(), "%s: bins of months are whole months, and have no origin", x.Name)
			return v, false
		}
		at, ok := c.timeArgument(x.Args[1], l, x.Name)
		if !ok {
			return v, false
		}
		e, err := expr.MonthBin(width.months, at)
		return c.made(x.Pos, e, err)
	}
	args := slices.Clone(x.Args)
	if len(args) == 2 {
		args = append(args, &syntax.Literal{Pos: x.Pos, Kind: syntax.Timestamp, Text: "2000-01-03"})
	}
	return c.dateBin(&syntax.Call{Pos: x.Pos, Name: x.Name, Args: args}, l)
}

// asInterval reads a text constant as an interval.
func (c *compiler) asInterval(e syntax.Expr) syntax.Expr {
	if x, ok := textLiteral(e); ok {
		return &syntax.Literal{Pos: x.Pos, Kind: syntax.Interval, Text: x.Text}
	}
	return e
}

// toDate is to_date(text [, format]).
func (c *compiler) toDate(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 2) {
		return v, false
	}
	if len(x.Args) == 1 {
		return c.dateOf(x, l)
	}
	v, ok = c.parseTime(x, l)
	if !ok {
		return v, false
	}
	v, ok = c.day(v, x.Pos)
	v.wall, v.date = true, true
	return v, ok
}

// dateOf is date(x), which is CAST(x AS date).
func (c *compiler) dateOf(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	return c.bind(&syntax.Cast{Pos: x.Pos, X: x.Args[0], Type: syntax.TypeName{Pos: x.Pos, Name: "date"}}, l)
}

// strptime is strptime(text, format), as in DuckDB.
func (c *compiler) strptime(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	return c.parseTime(x, l)
}

// tryStrptime is strptime that is NULL for texts of another form.
func (c *compiler) tryStrptime(x *syntax.Call, l leaf) (v value, ok bool) {
	v, ok = c.strptime(x, l)
	if !ok {
		return v, false
	}
	e, err := expr.Try(v.e)
	return c.made(x.Pos, e, err)
}

// strftime is strftime(at, format), as in DuckDB; SQLite has the arguments the other way round.
func (c *compiler) strftime(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	at, form := x.Args[0], x.Args[1]
	if _, ok := textLiteral(form); !ok {
		at, form = form, at
	}
	format, ok := c.constant(form, l, "the format of strftime")
	if !ok {
		return v, false
	}
	e, ok := c.timeArgument(at, l, x.Name)
	if !ok {
		return v, false
	}
	template, err := templateOf(format)
	if err == nil {
		e, err = expr.ToChar(e, template)
	}
	return c.made(form.Start(), e, err)
}

// directives are strftime's, as patterns of to_char.
var directives = map[byte]string{
	'Y': "YYYY", 'm': "MM", 'd': "DD", 'H': "HH24", 'I': "HH12", 'M': "MI", 'S': "SS", 'f': "US", 'j': "DDD", 'p': "AM",
	'y': "YY", 'B': "FMMonth", 'b': "Mon", 'A': "FMDay", 'a': "Dy", 'F': "YYYY-MM-DD", 'T': "HH24:MI:SS", 'G': "IYYY",
	'V': "IW", 'u': "ID", '%': `"%"`, 'g': "MS", 'n': "US000",
}

// templateOf is the template of to_char for a format of strftime.
func templateOf(format string) (string, error) {
	var b strings.Builder
	text := func(s string) {
		if s != "" {
			b.WriteString(`"` + s + `"`)
		}
	}
	for {
		before, rest, found := strings.Cut(format, "%")
		if strings.Contains(before, `"`) {
			return "", fmt.Errorf("the format %q: a double quote cannot be written",
				strings.ReplaceAll(format, `"`, ""))
		}
		text(before)
		if !found {
			return b.String(), nil
		}
		plain := strings.HasPrefix(rest, "-")
		rest = strings.TrimPrefix(rest, "-")
		if rest == "" {
			return "", fmt.Errorf("the format ends with %%")
		}
		pattern, ok := directives[rest[0]]
		if !ok || rest[0] == 'n' {
			return "", fmt.Errorf("strftime knows no %%%c, expected one of %%Y %%m %%d %%H %%M %%S %%f %%j %%p "+
				"and others", rest[0])
		}
		if plain {
			pattern = "FM" + pattern
		}
		b.WriteString(pattern)
		format = rest[1:]
	}
}

// overlaps is (a, b) OVERLAPS (c, d): whether two periods have a time in common. The second value
// of a period may be a length of time, or a time before the first. A period without length is one
// time. If one of the values is NULL, the other is the begin of the period.
func (c *compiler) overlaps(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 4, 4) {
		return v, false
	}
	var ends [4]syntax.Expr // the begins and the ends of both
	for i := range 2 {
		begin, end := x.Args[2*i], x.Args[2*i+1]
		for _, e := range []syntax.Expr{begin, end} {
			v, ok := c.bind(e, l)
			if !ok {
				return v, false
			}
			t := v.e.Type()
			if t != record.Timestamp && t != record.TimeOfDay && !v.interval && !v.open || e == begin && v.interval {
				c.fault(e.Start(), "OVERLAPS of %s, expected periods: two times, or a time and an interval", typeOf(v))
				return v, false
			}
			if v.interval {
				end = binaryOf(x, "+", begin, end)
			}
		}
		both := &syntax.Binary{
			Pos: x.Pos, Op: "AND", X: &syntax.IsNull{Pos: x.Pos, X: begin, Not: true},
			Y: &syntax.IsNull{Pos: x.Pos, X: end, Not: true},
		}
		ends[2*i] = callOf(x, "least", begin, end)
		ends[2*i+1] = &syntax.Case{
			Pos: x.Pos, Whens: []syntax.When{{Pos: x.Pos, When: both, Then: callOf(x, "greatest", begin, end)}},
		}
	}
	// The standard says it like this, so that NULLs come out right: (a > c AND (a < d OR b < d)) OR
	// (c > a AND (c < b OR d < b)) OR (a = c AND (b <> d OR b = d)).
	a, b, e, d := ends[0], ends[1], ends[2], ends[3]
	op := func(name string, x1, x2 syntax.Expr) syntax.Expr { return binaryOf(x, name, x1, x2) }
	first := op("AND", op(">", a, e), op("OR", op("<", a, d), op("<", b, d)))
	second := op("AND", op(">", e, a), op("OR", op("<", e, b), op("<", d, b)))
	third := op("AND", op("=", a, e), op("OR", op("<>", b, d), op("=", b, d)))
	return c.bind(op("OR", first, op("OR", second, third)), l)
}

// dateAdd is date_add(at, interval) and date_sub(at, interval).
func (c *compiler) dateAdd(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	op := map[string]string{"date_add": "+", "date_sub": "-"}[x.Name]
	return c.bind(&syntax.Binary{Pos: x.Pos, Op: op, X: x.Args[0], Y: x.Args[1]}, l)
}

// dateDiff is date_diff(part, from, to): how many boundaries of the part lie between two times.
func (c *compiler) dateDiff(x *syntax.Call, l leaf) (v value, ok bool) {
	if len(x.Args) == 2 {
		c.fault(x.Pos, "%s of 2 arguments, expected a part and two times: %s('day', a, b); a - b is an interval",
			x.Name, x.Name)
		return v, false
	}
	if !c.arity(x, 3, 3) {
		return v, false
	}
	part, ok := c.constant(x.Args[0], l, "the part of "+x.Name)
	if !ok {
		return v, false
	}
	unit := fieldOf(part)
	months := map[string]int64{"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200}[unit]
	nanos := map[string]int64{
		"microseconds": 1e3, "microsecond": 1e3, "milliseconds": 1e6, "millisecond": 1e6, "second": 1e9, "minute": 60e9,
		"hour": 3600e9, "day": 86400e9, "week": 7 * 86400e9,
	}[unit]
	if months+nanos == 0 {
		c.fault(x.Args[0].Start(), "%s by %q, expected a unit such as 'day', 'hour' or 'month'", x.Name, part)
		return v, false
	}
	var ends [2]*expr.Expr
	for i := range ends {
		at, ok := c.timeArgument(x.Args[1+i], l, x.Name)
		if !ok {
			return v, false
		}
		cut, err := expr.DateTrunc(unit, at)
		if err != nil {
			return c.made(x.Pos, nil, err)
		}
		if months == 0 {
			ends[i] = cut
			continue
		}
		number, ok := c.monthNumber(cut, x.Pos)
		if !ok {
			return v, false
		}
		ends[i] = number
	}
	op, size := expr.SubTimes, nanos
	if months > 0 {
		op, size = expr.Sub, months
	}
	v, ok = c.make(x.Pos, op, ends[1], ends[0])
	if !ok {
		return v, false
	}
	return c.make(x.Pos, expr.Div, v.e, expr.Int(record.Int64, size))
}

// monthNumber counts the months of a time from the year 0.
func (c *compiler) monthNumber(at *expr.Expr, pos syntax.Pos) (*expr.Expr, bool) {
	year, err := expr.Extract("year", at)
	month, err2 := expr.Extract("month", at)
	if err != nil || err2 != nil {
		_, ok := c.made(pos, nil, err)
		return nil, ok
	}
	v, ok := c.make(pos, expr.Mul, year, expr.Int(record.Int64, 12))
	if !ok {
		return nil, false
	}
	v, ok = c.make(pos, expr.Add, v.e, month)
	return v.e, ok
}

// makeDate is make_date(year, month, day).
func (c *compiler) makeDate(x *syntax.Call, l leaf) (v value, ok bool) {
	v, ok = c.function(x, l)
	v.wall, v.date = true, true
	return v, ok
}

// lastDay is the last day of the month.
func (c *compiler) lastDay(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	at, ok := c.timeArgument(x.Args[0], l, x.Name)
	if !ok {
		return v, false
	}
	e, err := expr.DateTrunc("month", at)
	if err == nil {
		e, err = expr.AddMonths(e, 1)
	}
	if err != nil {
		return c.made(x.Pos, e, err)
	}
	v, ok = c.make(x.Pos, expr.AddNanos, e, expr.Int(record.Int64, -dayNanos))
	v.wall, v.date = true, true
	return v, ok
}

// epochMs is epoch_ms(x): the time of milliseconds since 1970, or the milliseconds of a time.
func (c *compiler) epochMs(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	zero := expr.Int(record.Timestamp, 0)
	if v.e.Type() == record.Timestamp {
		v, ok = c.make(x.Pos, expr.SubTimes, v.e, zero)
		if !ok {
			return v, false
		}
		cut, ok := c.make(x.Pos, expr.Div, v.e, expr.Int(record.Int64, 1e6))
		return cut, ok
	}
	e, ok := c.argument(v, record.Int64, x.Args[0], x.Name)
	if !ok {
		return value{}, false
	}
	v, ok = c.make(x.Pos, expr.Mul, e, expr.Int(record.Int64, 1e6))
	if !ok {
		return v, false
	}
	return c.make(x.Pos, expr.AddNanos, zero, v.e)
}

const dayNanos = int64(24 * time.Hour)

// days is arithmetic of dates: a date and a whole number is a date, and the difference of two dates
// is a whole number of days, as in PostgreSQL. done is false for anything else.
func (c *compiler) days(x *syntax.Binary, a, b value) (v value, done, ok bool) {
	whole := func(v value) bool { return v.e.Type() == record.Int64 && !v.interval && !v.open }
	switch {
	case x.Op == "-" && a.date && b.date:
		v, ok = c.make(x.Pos, expr.SubTimes, a.e, b.e)
		if !ok {
			return v, true, false
		}
		v, ok = c.make(x.Pos, expr.Div, v.e, expr.Int(record.Int64, dayNanos))
		return v, true, ok
	case x.Op == "+" && whole(a) && b.date:
		a, b = b, a
	case (x.Op == "+" || x.Op == "-") && a.date && whole(b):
	default:
		return v, false, false
	}
	size := dayNanos
	if x.Op == "-" {
		size = -size
	}
	n, ok := c.make(x.Pos, expr.Mul, b.e, expr.Int(record.Int64, size))
	if !ok {
		return v, true, false
	}
	v, ok = c.make(x.Pos, expr.AddNanos, a.e, n.e)
	v.wall, v.date = true, true
	return v, true, ok
}

// timeField is extract and date_trunc. date_trunc may have a time zone.
func (c *compiler) timeField(x *syntax.Call, l leaf) (v value, ok bool) {
	most := 2
	if x.Name == "date_trunc" {
		most = 3
	}
	if !c.arity(x, 2, most) {
		return v, false
	}
	name, is := x.Args[0].(*syntax.Literal)
	if !is || name.Kind != syntax.String {
		c.fault(x.Args[0].Start(), "the field of %s must be a text constant, and comes first: %s('hour', at)", x.Name,
			x.Name)
		return v, false
	}
	field := fieldOf(name.Text)
	if of, is := x.Args[1].(*syntax.Call); is && of.Name == "age" && x.Name != "date_trunc" {
		return c.ageField(x, of, field, l)
	}
	v, ok = c.bind(x.Args[1], l)
	if !ok {
		return v, false
	}
	if !c.fixed(v, x.Args[1]) {
		return v, false
	}
	if v.interval && field == "epoch" && x.Name != "date_trunc" {
		// Go by way of microseconds: a float holds the microseconds of 285 years exactly.
		v, ok = c.make(x.Pos, expr.Div, v.e, expr.Int(record.Int64, 1000))
		if !ok {
			return v, false
		}
		return c.make(x.Pos, expr.Div, c.to(v.e, record.Float64), expr.Float(1e6))
	}
	if v.interval && x.Name == "date_trunc" && len(x.Args) == 2 {
		return c.truncInterval(name, field, v)
	}
	if v.interval && x.Name != "date_trunc" {
		if !c.isShown(v, x.Args[1]) {
			return v, false
		}
		return c.elapsedField(x, field, v)
	}
	if v.e.Type() == record.TimeOfDay && x.Name != "date_trunc" {
		e, err := expr.Extract(field, v.e)
		return c.made(name.Pos, e, err)
	}
	e, ok := c.argument(v, record.Timestamp, x.Args[1], x.Name)
	if !ok {
		return v, false
	}
	var err error
	wall := v.wall
	switch {
	case len(x.Args) == 3:
		in, ok := c.zoneNamed(x.Args[2], l)
		if !ok {
			return v, false
		}
		e, err = expr.TruncZone(field, e, in)
		wall = false
	case x.Name == "date_trunc":
		e, err = expr.DateTrunc(field, e)
	default:
		e, err = expr.Extract(field, e)
		wall = false
	}
	v, ok = c.made(name.Pos, e, err)
	v.wall = wall
	return v, ok
}

// elapsedField is a field of the difference of two times.
func (c *compiler) elapsedField(x *syntax.Call, field string, v value) (value, bool) {
	whole := map[string][2]int64{ // the longer unit, and the unit itself
		"day": {0, dayNanos}, "hour": {dayNanos, 3600e9}, "minute": {3600e9, 60e9}, "microseconds": {60e9, 1e3},
		"microsecond": {60e9, 1e3},
	}
	parts := map[string]float64{"second": 1e6, "milliseconds": 1e3, "millisecond": 1e3}
	size, ok := whole[field]
	if !ok && parts[field] == 0 {
		c.fault(x.Args[0].Start(), "%s of the difference of two times has no %q, expected epoch, day, hour, minute, "+
			"second, milliseconds or microseconds", x.Name, field)
		return value{}, false
	}
	if !ok {
		size = whole["microseconds"]
	}
	e := v.e
	if size[0] > 0 {
		rest, ok := c.make(x.Pos, expr.Mod, e, expr.Int(record.Int64, size[0]))
		if !ok {
			return v, false
		}
		e = rest.e
	}
	cut, good := c.make(x.Pos, expr.Div, e, expr.Int(record.Int64, size[1]))
	if !good || parts[field] == 0 {
		return cut, good
	}
	return c.make(x.Pos, expr.Div, c.to(cut.e, record.Float64), expr.Float(parts[field]))
}

// age is age(a, b) and age(b), from today: years, months, days and a time, as a text.
func (c *compiler) age(x *syntax.Call, l leaf) (v value, ok bool) {
	args, ok := c.ageArgs(x, l)
	if !ok {
		return v, false
	}
	return c.make(x.Pos, expr.AgeText, args...)
}

func (c *compiler) ageArgs(x *syntax.Call, l leaf) (args []*expr.Expr, ok bool) {
	if !c.arity(x, 1, 2) {
		return nil, false
	}
	list := x.Args
	if len(list) == 1 {
		list = []syntax.Expr{&syntax.Call{Pos: x.Pos, Name: "current_date"}, list[0]}
	}
	for _, a := range list {
		at, ok := c.timeArgument(a, l, x.Name)
		if !ok {
			return nil, false
		}
		args = append(args, at)
	}
	return args, true
}

// ageField is a field of an age.
func (c *compiler) ageField(x, of *syntax.Call, field string, l leaf) (v value, ok bool) {
	args, ok := c.ageArgs(of, l)
	if !ok {
		return v, false
	}
	if field != "year" && field != "month" {
		if field == "epoch" {
			c.fault(x.Pos, "an age has months, which have no fixed length: write extract(epoch FROM a - b)")
			return v, false
		}
		rest, ok := c.make(x.Pos, expr.AgeNanos, args...)
		if !ok {
			return v, false
		}
		return c.elapsedField(x, field, rest)
	}
	v, ok = c.make(x.Pos, expr.AgeMonths, args...)
	if !ok {
		return v, false
	}
	op := map[string]expr.Op{"year": expr.Div, "month": expr.Mod}[field]
	return c.make(x.Pos, op, v.e, expr.Int(record.Int64, 12))
}
