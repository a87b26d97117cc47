package record

import (
	"errors"
	"fmt"
	"strings"
)

// MaxFields bounds the number of columns of a schema.
const MaxFields = 1024

// A Field is one column of a Schema.
type Field struct {
	Name string
	Type Type

	// Nullable says that values may be NULL. A batch that brings a NULL in a column that is not
	// nullable is refused as a whole, because the reader is then broken.
	Nullable bool
}

// A Schema names the columns of a source and gives their types. It never changes after it has been
// made, so any number of goroutines may share it.
type Schema struct {
	name   string
	fields []Field
	index  map[string]int
}

// NewSchema makes a schema. name stands for the source in queries, statistics and messages. The
// error lists every fault: no name, no field, more than MaxFields, a field without a name, a name
// used twice, a type that is not valid.
func NewSchema(name string, fields ...Field) (*Schema, error) {
	s := &Schema{name: name, fields: append([]Field(nil), fields...), index: make(map[string]int, len(fields))}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("record: schema %q: "+format, append([]any{name}, args...)...))
	}
	if name == "" {
		fault("no name")
	}
	if len(fields) == 0 {
		fault("no fields")
	}
	if len(fields) > MaxFields {
		fault("%d fields, at most %d are allowed", len(fields), MaxFields)
	}
	for i, f := range s.fields {
		if f.Name == "" {
			fault("field %d has no name", i)
		} else if j, ok := s.index[f.Name]; ok {
			fault("fields %d and %d are both named %q", j, i, f.Name)
		} else {
			s.index[f.Name] = i
		}
		if !f.Type.Valid() {
			if f.Type.IsDecimal() {
				fault("field %q: a decimal has a precision of 1..%d and a scale of 0..precision", f.Name, MaxDigits)
			} else {
				fault("field %q: %v is not a type", f.Name, f.Type)
			}
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return s, nil
}

// Name is the name of the source.
func (s *Schema) Name() string { return s.name }

// Len is the number of columns.
func (s *Schema) Len() int { return len(s.fields) }

// Field is column i.
func (s *Schema) Field(i int) Field { return s.fields[i] }

// Index is the position of the column of that name; false if there is none.
func (s *Schema) Index(name string) (int, bool) {
	i, ok := s.index[name]
	return i, ok
}

// String is the schema as SQL writes a table: trades(symbol text, price double precision NULL).
func (s *Schema) String() string {
	var b strings.Builder
	b.WriteString(s.name)
	b.WriteByte('(')
	for i, f := range s.fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name)
		b.WriteByte(' ')
		b.WriteString(f.Type.String())
		if f.Nullable {
			b.WriteString(" NULL")
		}
	}
	b.WriteByte(')')
	return b.String()
}
