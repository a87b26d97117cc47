package query

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/secret"
	"github.com/velo-engine/velo/query/internal/syntax"
)

// OptionConnector is the option that says what a source or a sink is.
const OptionConnector = "connector"

// Options are the options of a WITH, checked and read. They know where each of them was set.
type Options struct {
	connect.Options
	text   string // text of the job, for faults
	of     syntax.Pos
	places map[string]syntax.Pos
	// secret has the names of the environment variables that options come from. Their values are in
	// no message.
	secret map[string]string
}

// Connector is the name of the connector.
func (o *Options) Connector() string { return o.Text(OptionConnector) }

// Literals are the names of the options whose values stand in the text, and are not in the
// environment: env('NAME').
func (o *Options) Literals() (names []string) {
	for _, name := range sortedKeys(o.places) {
		if _, env := o.secret[name]; !env {
			names = append(names, name)
		}
	}
	return names
}

// Errorf makes a fault of an option, or of the whole statement if the option is not set. It is for
// faults that only the code that opens it can find. It has a place, like the faults of CompileJob.
func (o *Options) Errorf(name, format string, args ...any) error {
	pos, ok := o.places[name]
	if !ok {
		pos = o.of
	}
	return syntax.ErrorAt(o.text, pos, "%s", o.redacted(name, fmt.Sprintf(format, args...)))
}

// leastSecret is how many bytes the value of another option has at least to be hidden in a message:
// shorter ones are parts of words.
const leastSecret = 4

// redacted is a message about an option without the values of options that are secrets, have one,
// or come from the environment.
func (o *Options) redacted(about, message string) string {
	var values []string
	for _, name := range sortedKeys(o.places) {
		v := o.Text(name)
		env, ok := o.secret[name]
		switch {
		case v == "" || name != about && len(v) < leastSecret:
		case ok:
			message = strings.ReplaceAll(message, v, "env('"+env+"')")
		case secret.Named(name) || secret.In(v):
			values = append(values, v)
		}
	}
	return secret.Redact(message, values...)
}

// Place adds the places of the options to an error of a connector: see connect.OptionError. An
// error that is about no option gets the place of the connector's name.
func (o *Options) Place(err error) error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []error
		for _, one := range many.Unwrap() {
			faults = append(faults, o.Place(one))
		}
		return errors.Join(faults...)
	}
	if placed := new(syntax.Error); errors.As(err, &placed) {
		return err
	}
	if of := new(connect.OptionError); errors.As(err, &of) {
		if _, ok := o.places[of.Option]; ok {
			return o.Errorf(of.Option, "%v", of.Err)
		}
		return o.Errorf(OptionConnector, "%v", of)
	}
	return o.Errorf(OptionConnector, "%v", err)
}

// options checks the options of one statement against the connectors that there are. A nil known
// accepts all options, as texts.
func (j *jobCompiler) options(
	of syntax.Pos, what string, list []syntax.Option, names []string, find func(string) ([]connect.Option, bool),
) *Options {
	o := &Options{text: j.text, of: of, places: map[string]syntax.Pos{}}
	for _, given := range list {
		o.places[given.Key] = given.Pos
		text := given.Value.Text
		if given.Env {
			if o.secret == nil {
				o.secret = map[string]string{}
			}
			o.secret[given.Key] = given.Value.Text
			var ok bool
			text, ok = os.LookupEnv(given.Value.Text)
			if !ok {
				j.fault(given.Pos, "option %q is in the environment variable %q, which is not set", given.Key,
					given.Value.Text)
				continue
			}
		}
		_ = o.Set(&connect.Option{Name: given.Key}, text) // any text
	}
	if find == nil {
		return o
	}
	if !o.Has(OptionConnector) {
		j.fault(of, "the %s has no connector: WITH (%s = '%s')", what, OptionConnector, strings.Join(names, "' or '"))
		return o
	}
	chosen := o.Connector()
	known, ok := find(chosen)
	if !ok {
		j.fault(o.places[OptionConnector], "there is no connector %q for a %s%s", chosen, what, nearest(chosen, names))
		return o
	}
	for i := range known {
		j.option(o, what, &known[i])
	}
	for _, given := range list {
		var options []string
		for _, spec := range known {
			options = append(options, spec.Name)
		}
		if given.Key != OptionConnector && !slices.Contains(options, given.Key) {
			j.fault(given.Pos, "connector %q has no option %q for a %s%s", chosen, given.Key, what,
				nearest(given.Key, options))
		}
	}
	return o
}

// option reads one option that a connector knows.
func (j *jobCompiler) option(o *Options, what string, spec *connect.Option) {
	if !o.Has(spec.Name) {
		_, missing := o.secret[spec.Name] // that has been reported
		if spec.Required && !missing {
			j.fault(o.of, "the %s has no %s, which connector %q needs: WITH (%s = ...)", what, spec.Name, o.Connector(),
				spec.Name)
		}
		return
	}
	err := o.Set(spec, o.Text(spec.Name))
	var of *connect.OptionError
	if !errors.As(err, &of) {
		return
	}
	if env, ok := o.secret[spec.Name]; ok {
		j.fault(o.places[spec.Name], "option %q: the value of the environment variable %q is not what the option "+
			"may be", spec.Name, env)
		return
	}
	if choice := new(connect.ChoiceError); errors.As(err, &choice) {
		of.Err = fmt.Errorf("%q%s", choice.Text, nearest(choice.Text, choice.Values))
	}
	j.fault(o.places[spec.Name], "%s", o.redacted(spec.Name, of.Error()))
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
