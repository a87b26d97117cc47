// Package pprofile reads, writes, adds and subtracts profiles in the format of pprof, and draws
// them as flame graphs.
//
// The runtime writes CPU profiles from one moment to another, and others as sums since the process
// began. So a CPU profile of some parts of a run is a sum of profiles, and one of allocations is a
// sum of differences. The format is in github.com/google/pprof/proto/profile.proto: a gzip of one
// protocol buffer. That module does the same, and velo does not depend on it because this is all
// that it needs.
package pprofile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Profile is samples of stacks. Locations and functions belong to one profile.
type Profile struct {
	Types    []ValueType // what each value of a sample is
	Samples  []Sample
	Period   int64
	PeriodOf ValueType
	Time     int64 // when it began, ns since 1970
	Duration int64 // ns
	Mappings []*Mapping
}

// A ValueType is a kind of value, such as cpu in nanoseconds.
type ValueType struct{ Type, Unit string }

// A Sample is a stack, the leaf first, with a value for each type.
type Sample struct {
	Stack  []*Location
	Values []int64
	Labels []Label
}

// A Label is something said about a sample, as text or as a number.
type Label struct {
	Key, Text, Unit string
	Number          int64
}

// A Location is an address with what was inlined there, the innermost function first.
type Location struct {
	Mapping *Mapping
	Address uint64
	Lines   []Line
}

// A Line is a place in the source.
type Line struct {
	Function *Function
	Line     int64
}

// A Function is a function.
type Function struct {
	Name, System, File string
	Start              int64
}

// A Mapping is a file that is mapped, such as the program.
type Mapping struct {
	Start, Limit, Offset uint64
	File, BuildID        string
	flags                uint64 // has functions, files, lines, inlined frames: a bit each
}

// key is the same for equal stacks with equal labels.
func (s Sample) key() string {
	var b strings.Builder
	for _, l := range s.Stack {
		fmt.Fprintf(&b, "%x", l.Address)
		for _, line := range l.Lines {
			fmt.Fprintf(&b, ";%s:%d", line.Function.Name, line.Line)
		}
		b.WriteByte('\n')
	}
	for _, l := range s.Labels {
		fmt.Fprintf(&b, "%q=%q,%d;", l.Key, l.Text, l.Number)
	}
	return b.String()
}

// Add returns the sum of profiles with the same types. It returns nil for none.
func Add(all ...*Profile) (*Profile, error) {
	if len(all) == 0 {
		return nil, nil
	}
	sum := *all[0]
	sum.Samples, sum.Duration = nil, 0
	at := map[string]int{}
	for _, p := range all {
		if !slices.Equal(p.Types, sum.Types) {
			return nil, fmt.Errorf("pprofile: a profile of %v cannot be added to one of %v", p.Types, sum.Types)
		}
		sum.Duration += p.Duration
		sum.add(at, p, 1)
	}
	return &sum, nil
}

// Subtract returns what has come since an earlier profile of the same process and kind.
func Subtract(p, earlier *Profile) (*Profile, error) {
	if !slices.Equal(p.Types, earlier.Types) {
		return nil, fmt.Errorf("pprofile: a profile of %v cannot be subtracted from one of %v", earlier.Types, p.Types)
	}
	d := *p
	d.Samples, d.Duration = nil, max(0, p.Time-earlier.Time)
	at := map[string]int{}
	d.add(at, p, 1)
	d.add(at, earlier, -1)
	d.Samples = slices.DeleteFunc(d.Samples, func(s Sample) bool {
		return !slices.ContainsFunc(s.Values, func(v int64) bool { return v != 0 })
	})
	return &d, nil
}

func (p *Profile) add(at map[string]int, other *Profile, sign int64) {
	for _, s := range other.Samples {
		key := s.key()
		i, ok := at[key]
		if !ok {
			i = len(p.Samples)
			at[key] = i
			p.Samples = append(p.Samples, Sample{s.Stack, make([]int64, len(p.Types)), s.Labels})
		}
		for j, v := range s.Values {
			p.Samples[i].Values[j] += sign * v
		}
	}
}

// ValueOf returns which value of a sample has a type, such as cpu. Without a name it is the last
// one, which is what the runtime's profiles are mostly about.
func (p *Profile) ValueOf(name string) (int, error) {
	if name == "" {
		return len(p.Types) - 1, nil
	}
	for i, t := range p.Types {
		if t.Type == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("pprofile: no value %q, expected one of %v", name, p.Types)
}

// Stacks returns the values of each stack of function names, the root first, as flame graphs have
// them. Labels become frames at the root if label names them.
func (p *Profile) Stacks(value int, label string) []Stack {
	sums := map[string]int64{}
	for _, s := range p.Samples {
		var names []string
		for _, l := range s.Labels {
			if label != "" && l.Key == label {
				names = append(names, l.Text)
			}
		}
		for _, l := range slices.Backward(s.Stack) {
			if len(l.Lines) == 0 {
				names = append(names, fmt.Sprintf("0x%x", l.Address))
			}
			for _, line := range slices.Backward(l.Lines) {
				names = append(names, line.Function.Name)
			}
		}
		sums[strings.Join(names, "\n")] += s.Values[value]
	}
	var stacks []Stack
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		if sums[key] > 0 {
			stacks = append(stacks, Stack{strings.Split(key, "\n"), sums[key]})
		}
	}
	return stacks
}

// A Stack is names of functions, the root first, and how much was found there.
type Stack struct {
	Names []string
	Value int64
}

// Top returns the functions with the greatest values of their own, of all stacks, and the sum.
func Top(stacks []Stack) (top []Stack, sum int64) {
	flat := map[string]int64{}
	for _, s := range stacks {
		flat[s.Names[len(s.Names)-1]] += s.Value
		sum += s.Value
	}
	for name, v := range flat {
		top = append(top, Stack{[]string{name}, v})
	}
	slices.SortFunc(top, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Names[0], b.Names[0]))
	})
	return top, sum
}
