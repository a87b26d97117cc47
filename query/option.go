package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/query/internal/syntax"
)

// OptionConnector is the option that says what a source or a sink is.
const OptionConnector = "connector"

// Connectors are those that a job may name, because the caller can open them. With them, misspelt
// names are faults of the text, with their place, before anything is opened.
type Connectors struct {
	Sources, Sinks map[string]Connector
}

// A Connector has the options that may be used with it in WITH.
type Connector struct {
	Options []OptionSpec
}

// OptionSpec is an option that a connector knows.
type OptionSpec struct {
	Name     string
	Kind     OptionKind
	Values   []string // values allowed for an OptionText; nil allows any
	Required bool
	OrZero   bool // an OptionDuration may be 0, which has a meaning
}

// An OptionKind says how the value of an option is written.
type OptionKind uint8

// The kinds. A value in quotes is read like one without.
const (
	OptionText     OptionKind = iota // 'a text'
	OptionBool                       // true, 'false'
	OptionInt                        // 10, '10': 0 or more
	OptionDuration                   // '10 s', '1 hour 30 minutes', '500ms': more than 0, or OrZero
	OptionBytes                      // 4096, '64 MB', '1 GiB': more than 0
	OptionChar                       // ';', '\t'
)

// option is an option that is set, with its place.
type option struct {
	pos   syntax.Pos
	text  string
	value int64 // for all kinds except text
}

// Options are the options of a WITH, checked and read.
type Options struct {
	text string // text of the job, for faults
	of   syntax.Pos
	set  map[string]option
}

// Has says whether an option is set.
func (o *Options) Has(name string) bool { _, ok := o.set[name]; return ok }

// Text is an option as it is written; it is empty if the option is not set.
func (o *Options) Text(name string) string { return o.set[name].text }

// Bool is an OptionBool; it is false if the option is not set.
func (o *Options) Bool(name string) bool { return o.set[name].value != 0 }

// Int is an OptionInt or the bytes of an OptionBytes; it is 0 if the option is not set.
func (o *Options) Int(name string) int64 { return o.set[name].value }

// Duration is an OptionDuration; it is 0 if the option is not set.
func (o *Options) Duration(name string) time.Duration { return time.Duration(o.set[name].value) }

// Char is an OptionChar; it is 0 if the option is not set.
func (o *Options) Char(name string) byte { return byte(o.set[name].value) }

// Connector is the name of the connector.
func (o *Options) Connector() string { return o.Text(OptionConnector) }

// Errorf makes a fault of an option, or of the whole statement if the option is not set. It is for
// faults that only the code that opens it can find. It has a place, like the faults of CompileJob.
func (o *Options) Errorf(name, format string, args ...any) error {
	pos := o.of
	if set, ok := o.set[name]; ok {
		pos = set.pos
	}
	return syntax.ErrorAt(o.text, pos, format, args...)
}

// options checks the options of one statement against the connectors that there are. A nil known
// accepts all options, as texts.
func (j *jobCompiler) options(of syntax.Pos, what string, list []syntax.Option, known map[string]Connector) *Options {
	o := &Options{text: j.text, of: of, set: map[string]option{}}
	for _, given := range list {
		o.set[given.Key] = option{pos: given.Pos, text: given.Value.Text}
	}
	if known == nil {
		return o
	}
	names := sortedKeys(known)
	chosen, ok := o.set[OptionConnector]
	if !ok {
		j.fault(of, "the %s has no connector: WITH (%s = '%s')", what, OptionConnector, strings.Join(names, "' or '"))
		return o
	}
	connector, ok := known[chosen.text]
	if !ok {
		j.fault(chosen.pos, "there is no connector %q for a %s%s", chosen.text, what, nearest(chosen.text, names))
		return o
	}
	for _, spec := range connector.Options {
		set, ok := o.set[spec.Name]
		if !ok {
			if spec.Required {
				j.fault(of, "the %s has no %s, which connector %q needs: WITH (%s = ...)", what, spec.Name, chosen.text,
					spec.Name)
			}
			continue
		}
		var err error
		set.value, err = spec.read(set.text)
		if err != nil {
			j.fault(set.pos, "option %s: %v", spec.Name, err)
		}
		o.set[spec.Name] = set
	}
	for _, given := range list {
		var options []string
		for _, spec := range connector.Options {
			options = append(options, spec.Name)
		}
		if given.Key != OptionConnector && !slices.Contains(options, given.Key) {
			j.fault(given.Pos, "connector %q has no option %q for a %s%s", chosen.text, given.Key, what,
				nearest(given.Key, options))
		}
	}
	return o
}

// read reads the value of a text, as a number unless the kind is OptionText.
func (s *OptionSpec) read(text string) (int64, error) {
	switch s.Kind {
	case OptionBool:
		switch strings.ToLower(text) {
		case "true", "on":
			return 1, nil
		case "false", "off":
			return 0, nil
		}
		return 0, fmt.Errorf("%q, expected true or false", text)
	case OptionInt:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return n, nil
		}
		return 0, fmt.Errorf("%q, expected a number, 0 or more", text)
	case OptionDuration:
		d, err := time.ParseDuration(text)
		if err != nil {
			d, err = interval(text, "")
		}
		if err == nil && (d > 0 || d == 0 && s.OrZero) {
			return int64(d), nil
		}
		return 0, fmt.Errorf("%q, expected a time such as '10 s' or '1 hour'", text)
	case OptionBytes:
		return ByteSize(text)
	case OptionChar:
		if text == `\t` {
			return '\t', nil
		}
		if len(text) == 1 && text[0] < utf8.RuneSelf {
			return int64(text[0]), nil
		}
		return 0, fmt.Errorf(`%q, expected one character, or '\t'`, text)
	}
	if len(s.Values) > 0 && !slices.Contains(s.Values, text) {
		return 0, fmt.Errorf("%q%s", text, nearest(text, s.Values))
	}
	return 0, nil
}

// byteUnits are the units that may follow a number of bytes.
var byteUnits = map[string]int64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	"tib": 1 << 40,
}

// ByteSize reads a number of bytes in the form of an OptionBytes: 4096, 64 MB, 1.5GiB.
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

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
