package pprofile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errShort is for a message that ends before its end.
var errShort = errors.New("pprofile: the profile is cut off or is none")

// fields calls f for each field of a message: of one with a number, v, and of one with bytes, b.
func fields(msg []byte, f func(field int, v uint64, b []byte) error) error {
	for len(msg) > 0 {
		tag, n := binary.Uvarint(msg)
		if n <= 0 {
			return errShort
		}
		msg = msg[n:]
		var v uint64
		var b []byte
		switch tag & 7 {
		case 0:
			v, n = binary.Uvarint(msg)
			if n <= 0 {
				return errShort
			}
		case 1:
			n = 8
		case 5:
			n = 4
		case 2:
			size, m := binary.Uvarint(msg)
			if m <= 0 || size > uint64(len(msg)-m) {
				return errShort
			}
			b, n = msg[m:m+int(size)], m+int(size)
		default:
			return errShort
		}
		if n > len(msg) {
			return errShort
		}
		msg = msg[n:]
		if err := f(int(tag>>3), v, b); err != nil {
			return err
		}
	}
	return nil
}

// numbers appends a repeated number, packed or not.
func numbers(to []uint64, v uint64, b []byte) ([]uint64, error) {
	if b == nil {
		return append(to, v), nil
	}
	for len(b) > 0 {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errShort
		}
		to, b = append(to, x), b[n:]
	}
	return to, nil
}

// A message has the numbers of a message by field, and the bytes of what has bytes.
type message struct {
	numbers  [16]uint64
	lists    [16][]uint64
	messages [16][][]byte
}

func read(b []byte) (m message, err error) {
	err = fields(b, func(field int, v uint64, b []byte) error {
		if field < 1 || field > 15 {
			return nil
		}
		if b != nil {
			m.messages[field] = append(m.messages[field], b)
		} else {
			m.numbers[field] = v
			m.lists[field] = append(m.lists[field], v)
		}
		return nil
	})
	return m, err
}

// list is a repeated number of a message.
func (m message) list(field int) (all []uint64, err error) {
	all = m.lists[field]
	for _, b := range m.messages[field] {
		all, err = numbers(all, 0, b)
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Read reads a profile.
func Read(r io.Reader) (*Profile, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("pprofile: %w", err)
		}
		raw, err = io.ReadAll(z)
		if err != nil {
			return nil, fmt.Errorf("pprofile: %w", err)
		}
	}
	m, err := read(raw)
	if err != nil {
		return nil, err
	}
	d := decoder{
		m: m, mappings: map[uint64]*Mapping{}, functions: map[uint64]*Function{},
		locations: map[uint64]*Location{},
	}
	p := d.profile()
	if d.err != nil {
		return nil, d.err
	}
	if len(p.Types) == 0 {
		return nil, errShort
	}
	return p, nil
}

// A decoder turns ids and places in the table of strings into what they stand for.
type decoder struct {
	m         message
	mappings  map[uint64]*Mapping
	functions map[uint64]*Function
	locations map[uint64]*Location
	err       error
}

func (d *decoder) text(i uint64) string {
	if i >= uint64(len(d.m.messages[6])) {
		d.fail("string", i)
		return ""
	}
	return string(d.m.messages[6][i])
}

func (d *decoder) fail(what string, i uint64) {
	if d.err == nil {
		d.err = fmt.Errorf("pprofile: there is no %s %d", what, i)
	}
}

func (d *decoder) read(b []byte) message {
	m, err := read(b)
	if err != nil && d.err == nil {
		d.err = err
	}
	return m
}

func (d *decoder) valueType(b []byte) ValueType {
	m := d.read(b)
	return ValueType{d.text(m.numbers[1]), d.text(m.numbers[2])}
}

func (d *decoder) profile() *Profile {
	p := &Profile{
		Time: int64(d.m.numbers[9]), Duration: int64(d.m.numbers[10]), Period: int64(d.m.numbers[12]),
	}
	for _, b := range d.m.messages[1] {
		p.Types = append(p.Types, d.valueType(b))
	}
	for _, b := range d.m.messages[11] {
		p.PeriodOf = d.valueType(b)
	}
	for _, b := range d.m.messages[3] {
		m := d.read(b)
		x := &Mapping{m.numbers[2], m.numbers[3], m.numbers[4], d.text(m.numbers[5]), d.text(m.numbers[6]), 0}
		for i := range 4 {
			x.flags |= m.numbers[7+i] << i
		}
		d.mappings[m.numbers[1]] = x
		p.Mappings = append(p.Mappings, x)
	}
	for _, b := range d.m.messages[5] {
		m := d.read(b)
		d.functions[m.numbers[1]] = &Function{
			d.text(m.numbers[2]), d.text(m.numbers[3]), d.text(m.numbers[4]), int64(m.numbers[5]),
		}
	}
	for _, b := range d.m.messages[4] {
		d.location(b)
	}
	for _, b := range d.m.messages[2] {
		p.Samples = append(p.Samples, d.sample(b, len(p.Types)))
	}
	return p
}

func (d *decoder) location(b []byte) {
	m := d.read(b)
	l := &Location{Mapping: d.mappings[m.numbers[2]], Address: m.numbers[3]}
	for _, b := range m.messages[4] {
		line := d.read(b)
		f := d.functions[line.numbers[1]]
		if f == nil {
			d.fail("function", line.numbers[1])
			return
		}
		l.Lines = append(l.Lines, Line{f, int64(line.numbers[2])})
	}
	d.locations[m.numbers[1]] = l
}

func (d *decoder) sample(b []byte, types int) (s Sample) {
	m := d.read(b)
	stack, err1 := m.list(1)
	values, err2 := m.list(2)
	if err := errors.Join(err1, err2); err != nil && d.err == nil {
		d.err = err
	}
	for _, id := range stack {
		l := d.locations[id]
		if l == nil {
			d.fail("location", id)
			return s
		}
		s.Stack = append(s.Stack, l)
	}
	for _, v := range values {
		s.Values = append(s.Values, int64(v))
	}
	if len(s.Values) != types {
		d.fail("value of a sample", uint64(types))
	}
	for _, b := range m.messages[3] {
		l := d.read(b)
		s.Labels = append(s.Labels, Label{
			d.text(l.numbers[1]), d.text(l.numbers[2]), d.text(l.numbers[4]), int64(l.numbers[3]),
		})
	}
	return s
}

// Write writes the profile as a gzip.
func (p *Profile) Write(w io.Writer) error {
	e := encoder{strings: map[string]uint64{"": 0}, table: []string{""}}
	z := gzip.NewWriter(w)
	if _, err := z.Write(e.profile(p)); err != nil {
		return err
	}
	return z.Close()
}

// An encoder gives out ids and places in the table of strings.
type encoder struct {
	strings  map[string]uint64
	table    []string
	mappings map[*Mapping]uint64
}

func (e *encoder) text(s string) uint64 {
	i, ok := e.strings[s]
	if !ok {
		i = uint64(len(e.table))
		e.strings[s], e.table = i, append(e.table, s)
	}
	return i
}

func number(to []byte, field int, v uint64) []byte {
	if v == 0 {
		return to
	}
	return binary.AppendUvarint(binary.AppendUvarint(to, uint64(field)<<3), v)
}

func text(to []byte, field int, b []byte) []byte {
	to = binary.AppendUvarint(to, uint64(field)<<3|2)
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

func packed(to []byte, field int, values []uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return text(to, field, b)
}

func (e *encoder) valueType(t ValueType) []byte {
	return number(number(nil, 1, e.text(t.Type)), 2, e.text(t.Unit))
}

func (e *encoder) profile(p *Profile) (out []byte) {
	for _, t := range p.Types {
		out = text(out, 1, e.valueType(t))
	}
	e.mappings = map[*Mapping]uint64{}
	for i, m := range p.Mappings {
		id := uint64(i + 1)
		e.mappings[m] = id
		b := number(number(number(number(nil, 1, id), 2, m.Start), 3, m.Limit), 4, m.Offset)
		b = number(number(b, 5, e.text(m.File)), 6, e.text(m.BuildID))
		for j := range 4 {
			b = number(b, 7+j, m.flags>>j&1)
		}
		out = text(out, 3, b)
	}
	functions, locations := map[*Function]uint64{}, map[*Location]uint64{}
	for _, s := range p.Samples {
		var stack, values []uint64
		for _, l := range s.Stack {
			id, ok := locations[l]
			if !ok {
				id = uint64(len(locations) + 1)
				locations[l] = id
				var b []byte
				b, out = e.location(l, id, functions, out)
				out = text(out, 4, b)
			}
			stack = append(stack, id)
		}
		for _, v := range s.Values {
			values = append(values, uint64(v))
		}
		b := packed(packed(nil, 1, stack), 2, values)
		for _, l := range s.Labels {
			x := number(number(nil, 1, e.text(l.Key)), 2, e.text(l.Text))
			b = text(b, 3, number(number(x, 3, uint64(l.Number)), 4, e.text(l.Unit)))
		}
		out = text(out, 2, b)
	}
	out = number(number(out, 9, uint64(p.Time)), 10, uint64(p.Duration))
	out = number(text(out, 11, e.valueType(p.PeriodOf)), 12, uint64(p.Period))
	for _, s := range e.table {
		out = text(out, 6, []byte(s))
	}
	return out
}

// location returns the message of a location, and out with the functions that it needs.
func (e *encoder) location(l *Location, id uint64, functions map[*Function]uint64, out []byte) (b, more []byte) {
	b = number(number(number(nil, 1, id), 2, e.mappings[l.Mapping]), 3, l.Address)
	for _, line := range l.Lines {
		f, ok := functions[line.Function]
		if !ok {
			f = uint64(len(functions) + 1)
			functions[line.Function] = f
			x := number(number(nil, 1, f), 2, e.text(line.Function.Name))
			x = number(number(x, 3, e.text(line.Function.System)), 4, e.text(line.Function.File))
			out = text(out, 5, number(x, 5, uint64(line.Function.Start)))
		}
		b = text(b, 4, number(number(nil, 1, f), 2, uint64(line.Line)))
	}
	return b, out
}
