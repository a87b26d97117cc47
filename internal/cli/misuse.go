package cli

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// StatusMisuse is the exit status if the command line is not understood: a word, a flag or a value
// that is wrong whatever the host and its files are like. kong's own faults have it, too.
const StatusMisuse = 80

// misuse is an error of the command line.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// Misusef makes an error whose exit status is StatusMisuse.
func Misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// IsMisuse reports whether an error is from Misusef.
func IsMisuse(err error) bool {
	var m misuse
	return errors.As(err, &m)
}

// CheckRanges returns an error if a flag of the command has a value outside of its range. ranges
// has ranges by the name of the flag, or by the command and the flag ("model cores"), which goes
// first: "1..4096", or "0.." if there is no greatest value. Both ends belong to the range. The ends
// of a time are written as times: "1ns..1h". If a flag has several values, the range is for each of
// them. The error is one of misuse. A range that cannot be read panics.
func CheckRanges(ctx *kong.Context, ranges map[string]string) error {
	for _, f := range ctx.Flags() {
		within := RangeOf(ctx.Selected(), f.Name, ranges)
		if within == "" {
			continue
		}
		v := reflect.ValueOf(ctx.FlagValue(f))
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		values := []reflect.Value{v}
		if v.Kind() == reflect.Slice {
			values = nil
			for i := range v.Len() {
				values = append(values, v.Index(i))
			}
		}
		for _, v := range values {
			ok, expected := inRange(v, within)
			if !ok {
				return Misusef("--%s %v: expected %s", f.Name, v, expected)
			}
		}
	}
	return nil
}

// RangeOf is the range of a flag of a command; it is empty if there is none.
func RangeOf(command *kong.Node, flag string, ranges map[string]string) string {
	path := flag
	for n := command; n != nil && n.Type == kong.CommandNode; n = n.Parent {
		path = n.Name + " " + path
	}
	own, ok := ranges[path]
	if ok {
		return own
	}
	return ranges[flag]
}

// inRange reports whether a value is within a range, and says the range in words.
func inRange(v reflect.Value, text string) (ok bool, expected string) {
	low, high, found := strings.Cut(text, "..")
	if !found {
		panic(fmt.Sprintf("cli: the range %q has no two points", text))
	}
	switch {
	case high != "":
		expected = text
	case low == "1ns":
		expected = "more than 0"
	default:
		expected = low + " or more"
	}
	// The numbers of flags are small enough for a float64 to tell whether they are in a range.
	var number float64
	switch v.Kind() {
	case reflect.Float64:
		number = v.Float()
	case reflect.Uint64, reflect.Uint:
		number = float64(v.Uint())
	default:
		number = float64(v.Int())
	}
	most := math.Inf(1)
	if high != "" {
		most = end(v, high)
	}
	_, isFloat := v.Interface().(float64)
	return number >= end(v, low) && number <= most && !(isFloat && math.IsInf(number, 0)), expected
}

// end is one end of a range of values such as v.
func end(v reflect.Value, text string) float64 {
	var number float64
	var err error
	if _, isTime := v.Interface().(time.Duration); isTime {
		var d time.Duration
		d, err = time.ParseDuration(text)
		number = float64(d)
	} else {
		number, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		panic(fmt.Sprintf("cli: the end of a range: %v", err))
	}
	return number
}
