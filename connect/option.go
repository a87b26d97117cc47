package connect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/internal/interval"
)

// An Option is an option that a connector knows.
type Option struct {
	Name     string
	Kind     Kind
	Values   []string // values allowed for a Text; nil allows any
	Required bool
	OrZero   bool // a Duration may be 0, which has a meaning
	File     bool // the value is the path of a file that is read, besides the records
}

// A Kind says how the value of an option is written.
type Kind uint8

// The kinds.
const (
	Text     Kind = iota // any text
	Bool                 // true, false, on, off
	Int                  // 10: 0 or more
	Duration             // 10 s, 1 hour 30 minutes, 500ms: more than 0, or OrZero
	Bytes                // 4096, 64 MB, 1 GiB: more than 0
	Char                 // one character, or \t
)

// Parse reads a value, as a number unless the kind is Text. The caller passes the name on: the
// error says only what is wrong with the value.
func (o *Option) Parse(text string) (int64, error) {
	switch o.Kind {
	case Bool:
		switch strings.ToLower(text) {
		case "true", "on":
			return 1, nil
		case "false", "off":
			return 0, nil
		}
		return 0, fmt.Errorf("%q, expected true or false", text)
	case Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return n, nil
		}
		return 0, fmt.Errorf("%q, expected a number, 0 or more", text)
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			d, err = interval.Fixed(text, "")
		}
		if err == nil && (d > 0 || d == 0 && o.OrZero) {
			return int64(d), nil
		}
		return 0, fmt.Errorf("%q, expected a time such as '10 s' or '1 hour'", text)
	case Bytes:
		return ByteSize(text)
	case Char:
		if text == `\t` {
			return '\t', nil
		}
		if len(text) == 1 && text[0] < utf8.RuneSelf {
			return int64(text[0]), nil
		}
		return 0, fmt.Errorf(`%q, expected one character, or '\t'`, text)
	}
	if len(o.Values) > 0 && !slices.Contains(o.Values, text) {
		return 0, &ChoiceError{text, o.Values}
	}
	return 0, nil
}

// A ChoiceError says that a value is none of those that an option may have.
type ChoiceError struct {
	Text   string
	Values []string
}

// Error describes it.
func (e *ChoiceError) Error() string {
	return fmt.Sprintf("%q, expected one of %s", e.Text, strings.Join(e.Values, ", "))
}

// byteUnits are the units that may follow a number of bytes.
var byteUnits = map[string]int64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	"tib": 1 << 40,
}

// ByteSize reads a number of bytes: 4096, 64 MB, 1.5GiB.
func ByteSize(text string) (int64, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	unit, ok := byteUnits[strings.ToLower(strings.TrimSpace(text[end:]))]
	n, err := strconv.ParseFloat(text[:end], 64)
	if !ok || err != nil || n <= 0 || n*float64(unit) >= 1<<62 || n*float64(unit) < 1 {
		return 0, fmt.Errorf("%q, expected a number of bytes such as '64 MB' or '1 GiB'", text)
	}
	return int64(n * float64(unit)), nil
}

// Options are the values of options that somebody has set.
type Options struct{ set map[string]value }

// value is an option that is set.
type value struct {
	text   string
	number int64 // for all kinds except Text
}

// NewOptions checks what was set against the options that there are. The error joins an OptionError
// for each fault, in the order of the names.
func NewOptions(known []Option, set map[string]string) (*Options, error) {
	o := &Options{}
	var faults []error
	for i := range known {
		text, ok := set[known[i].Name]
		switch {
		case ok:
			if err := o.Set(&known[i], text); err != nil {
				faults = append(faults, err)
			}
		case known[i].Required:
			faults = append(faults, o.Errorf(known[i].Name, "it is missing"))
		}
	}
	var names []string
	for name := range set {
		if !slices.ContainsFunc(known, func(o Option) bool { return o.Name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		faults = append(faults, o.Errorf(name, "there is no such option"))
	}
	return o, errors.Join(faults...)
}

// Set sets an option. The error is an OptionError.
func (o *Options) Set(option *Option, text string) error {
	n, err := option.Parse(text)
	if o.set == nil {
		o.set = map[string]value{}
	}
	o.set[option.Name] = value{text, n}
	if err != nil {
		return &OptionError{option.Name, err}
	}
	return nil
}

// Has says whether an option is set.
func (o *Options) Has(name string) bool { _, ok := o.set[name]; return ok }

// Text is an option as it is written; it is empty if the option is not set.
func (o *Options) Text(name string) string { return o.set[name].text }

// Bool is a Bool; it is false if the option is not set.
func (o *Options) Bool(name string) bool { return o.set[name].number != 0 }

// Int is an Int or the bytes of a Bytes; it is 0 if the option is not set.
func (o *Options) Int(name string) int64 { return o.set[name].number }

// Duration is a Duration; it is 0 if the option is not set.
func (o *Options) Duration(name string) time.Duration { return time.Duration(o.set[name].number) }

// Char is a Char; it is 0 if the option is not set.
func (o *Options) Char(name string) byte { return byte(o.set[name].number) }

// Errorf makes an error about an option. The name may be empty if it is about all of them together.
func (o *Options) Errorf(name, format string, args ...any) error {
	return &OptionError{name, fmt.Errorf(format, args...)}
}

// An OptionError is an error about one option, or about all of them if Option is empty.
type OptionError struct {
	Option string
	Err    error
}

// Error describes it.
func (e *OptionError) Error() string {
	if e.Option == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("option %s: %v", e.Option, e.Err)
}

// Unwrap returns what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }
