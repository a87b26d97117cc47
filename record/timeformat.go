package record

import (
	"fmt"
	"strings"
	"time"
)

// A TimeFormat reads times of one declared form. It never changes after it has been made, so any
// number of goroutines may share it.
type TimeFormat struct {
	text  string
	steps []timeStep
	zone  *time.Location
}

// timeStep is a directive of strptime, or a byte that must be there.
type timeStep struct {
	directive byte // 0 for a literal
	literal   byte
}

// Directives that strptime does not have.
const (
	stepMillis = 'L'
	stepMicros = 'U'
)

// timeDirectives are the letters that may follow a percent sign; the long ones are written out.
const timeDirectives = "YymdejHkIlMSfpbBhaAzZsLU"

var longDirectives = map[byte]string{
	'T': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y", 'F': "%Y-%m-%d", 'n': " ",
	't': " ",
}

// timeTemplates are the patterns of PostgreSQL's to_timestamp, and the directives of strptime that
// they stand for. If two of them fit, the longer comes first.
var timeTemplates = []struct{ template, directive string }{
	{"YYYY", "%Y"},
	{"HH24", "%H"},
	{"HH12", "%I"},
	{"MONTH", "%B"},
	{"MON", "%b"},
	{"DDD", "%j"},
	{"DAY", "%A"},
	{"TZH:TZM", "%z"},
	{"TZH", "%z"},
	{"A.M.", "%p"},
	{"P.M.", "%p"},
	{"YY", "%y"},
	{"MM", "%m"},
	{"DD", "%d"},
	{"DY", "%a"},
	{"HH", "%I"},
	{"MI", "%M"},
	{"SS", "%S"},
	{"MS", "%L"},
	{"US", "%U"},
	{"FF", "%f"},
	{"TZ", "%Z"},
	{"AM", "%p"},
	{"PM", "%p"},
	{"FM", ""}, // numbers may be shorter anyway
}

// eraOf is the era that a template of PostgreSQL outside of its texts asks for, or "". Read as a
// text it would make a year of our era of any other.
func eraOf(format string) string {
	for i, part := range strings.Split(format, `"`) {
		for _, era := range []string{"BC", "B.C."} {
			if i%2 == 0 && strings.Contains(strings.ToUpper(part), era) {
				return era
			}
		}
	}
	return ""
}

// CompileTimeFormat makes a TimeFormat. A time without a zone is in zone; nil is UTC. The format
// has the directives of strptime, such as "%d/%m/%Y %H:%M". A format without a percent sign is a
// template of PostgreSQL, such as "DD/MM/YYYY HH24:MI".
//
//	%Y  year, four digits        %H %k  hour, 0 to 23        %z  zone: Z, +01, +0100, +01:00
//	%y  year, 69 to 68           %I %l  hour, 1 to 12        %Z  UTC, GMT or a zone like %z
//	%m  month                    %p     AM or PM             %s  seconds since 1970
//	%b %B %h  month by name      %M     minute               %j  day of the year
//	%d %e  day                   %S     second               %a %A  weekday by name
//	%f  fraction of a second, after a point in the format; %L of three digits, %U of six
//	%F is %Y-%m-%d, %T is %H:%M:%S, %R is %H:%M, %D is %m/%d/%y, %% is a percent sign
//
// A blank stands for any number of blanks. Numbers of two digits may have one. A format without a
// day, or without a month too, stands for the first of them. The error says which directive is
// unknown, or what a time of this form would lack.
func CompileTimeFormat(format string, zone *time.Location) (*TimeFormat, error) {
	f := &TimeFormat{text: format, zone: zone}
	fault := func(what string, args ...any) (*TimeFormat, error) {
		return nil, fmt.Errorf("record: time format %q: "+what, append([]any{format}, args...)...)
	}
	rest := format
	isTemplate := !strings.Contains(format, "%")
	if isTemplate {
		if era := eraOf(format); era != "" {
			return fault("%s is not supported: years are from 1678 to 2261; leave it out, or write it "+
				"in double quotes if it is a text", era)
		}
		rest = fromTemplate(format)
	}
	has := map[byte]bool{}
	for rest != "" {
		c := rest[0]
		rest = rest[1:]
		if c != '%' {
			f.steps = append(f.steps, timeStep{literal: c})
			continue
		}
		if rest == "" {
			return fault("it ends with a percent sign, expected a directive such as %%Y")
		}
		d := rest[0]
		rest = rest[1:]
		switch long := longDirectives[d]; {
		case long != "":
			rest = long + rest
		case d == '%':
			f.steps = append(f.steps, timeStep{literal: d})
		case strings.IndexByte(timeDirectives, d) >= 0:
			has[d] = true
			f.steps = append(f.steps, timeStep{directive: d})
		default:
			return fault("there is no directive %%%c, expected one of %%Y %%y %%m %%b %%d %%j %%H %%I %%p %%M %%S "+
				"%%f %%z %%s", d)
		}
	}
	oneOf := func(directives string) bool {
		for _, d := range []byte(directives) {
			if has[d] {
				return true
			}
		}
		return false
	}
	switch {
	case oneOf("s"):
	case isTemplate && oneOf("I") != oneOf("p"):
		return fault("hours to 12 (HH, HH12) and AM go together: write HH24, or HH12 with AM")
	case isTemplate && !oneOf("Yy"):
		return fault("it has no year, expected YYYY or YY")
	case isTemplate && oneOf("d") && !oneOf("mbB"):
		return fault("it has a day and no month, expected MM or MON too, or DDD")
	case !oneOf("Yy"):
		return fault("it has no year, expected %%Y or %%y")
	case oneOf("de") && !oneOf("mbBh"):
		return fault("it has a day and no month, expected %%m or %%b too, or %%j")
	case oneOf("Il") != oneOf("p"):
		return fault("%%I and %%p go together: hours to 12 need AM or PM")
	}
	return f, nil
}

// fromTemplate translates a template of PostgreSQL to the directives of strptime.
func fromTemplate(format string) string {
	var out strings.Builder
next:
	for format != "" {
		if text, quoted := strings.CutPrefix(format, `"`); quoted { // PostgreSQL has quotes around literals
			text, format, _ = strings.Cut(text, `"`)
			out.WriteString(text)
			continue
		}
		for _, t := range timeTemplates {
			if n := len(t.template); len(format) >= n && strings.EqualFold(format[:n], t.template) {
				out.WriteString(t.directive)
				format = format[n:]
				continue next
			}
		}
		out.WriteByte(format[0])
		format = format[1:]
	}
	return out.String()
}

// String is the format as it was given.
func (f *TimeFormat) String() string { return f.text }

// Parse reads a time into nanoseconds since 1970 UTC. Blanks around it are ignored.
func (f *TimeFormat) Parse(text string) (int64, error) {
	t := timeText{rest: strings.Trim(text, blanks), month: 1, day: 1}
	afternoon := -1 // 0 is AM, 1 is PM
	for _, s := range f.steps {
		if !t.step(s, &afternoon) {
			return 0, f.mismatch(text)
		}
	}
	if t.rest != "" {
		return 0, f.mismatch(text)
	}
	if afternoon >= 0 {
		if t.hour < 1 || t.hour > 12 {
			return 0, f.mismatch(text)
		}
		t.hour = t.hour%12 + 12*afternoon
	}
	nanos, err := t.nanos(f.zone)
	if err == errTimeForm {
		return 0, f.mismatch(text)
	} else if err != nil {
		return 0, fmt.Errorf("%.40q %w", text, err)
	}
	return nanos, nil
}

func (f *TimeFormat) mismatch(text string) error {
	return fmt.Errorf("%.40q is not a time of the form %q", text, f.text)
}

// step reads what a step of a format stands for.
func (t *timeText) step(s timeStep, afternoon *int) bool {
	var ignored int
	switch s.directive {
	case 0:
		if strings.IndexByte(blanks, s.literal) >= 0 {
			t.skipBlanks()
			return true
		}
		return t.take(string(s.literal)) != 0
	case 'Y':
		return t.number(4, 4, &t.year)
	case 'y':
		if !t.number(2, 2, &t.year) {
			return false
		}
		t.year += 2000
		if t.year > 2068 { // as in POSIX
			t.year -= 100
		}
		return true
	case 'm':
		return t.number(1, 2, &t.month)
	case 'b', 'B', 'h':
		return t.name(monthNames[:], &t.month)
	case 'd', 'e':
		t.skipBlanks() // %e is padded with a blank
		return t.number(1, 2, &t.day)
	case 'j':
		return t.number(1, 3, &t.yearDay) && t.yearDay > 0
	case 'H', 'k', 'I', 'l':
		t.skipBlanks()
		return t.number(1, 2, &t.hour)
	case 'M':
		return t.number(1, 2, &t.minute)
	case 'S':
		return t.number(1, 2, &t.second)
	case 'f':
		return t.fractionDigits()
	case stepMillis:
		ok := t.number(3, 3, &t.fraction)
		t.fraction *= 1e6
		return ok
	case stepMicros:
		ok := t.number(6, 6, &t.fraction)
		t.fraction *= 1e3
		return ok
	case 'p':
		return t.half(afternoon)
	case 'a', 'A':
		return t.name(dayNames[:], &ignored)
	case 'z', 'Z':
		return t.offset()
	case 's':
		return t.seconds()
	}
	return false
}

// half reads AM or PM.
func (t *timeText) half(afternoon *int) bool {
	for i, names := range [][]string{{"am", "a.m."}, {"pm", "p.m."}} {
		for _, name := range names {
			if len(t.rest) >= len(name) && strings.EqualFold(t.rest[:len(name)], name) {
				*afternoon = i
				t.rest = t.rest[len(name):]
				return true
			}
		}
	}
	return false
}

// seconds reads a number of seconds since 1970.
func (t *timeText) seconds() bool {
	n := 0
	if t.rest != "" && t.rest[0] == '-' {
		n = 1
	}
	for n < len(t.rest) && (t.rest[n]-'0' <= 9 || t.rest[n] == '.') {
		n++
	}
	var err error
	t.epoch, err = ParseEpoch(t.rest[:n], time.Second)
	t.isEpoch, t.rest = true, t.rest[n:]
	return err == nil
}
