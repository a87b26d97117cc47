package parquet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// Source is some files that are read as one source. Its columns go by their names.
type Source struct {
	files  []*file
	schema *record.Schema
	// places has, for each file, the leaf of each column of the schema; -1 if the file has none.
	places [][]int
}

// Open reads the footers of files. The error lists every file that cannot be read.
func Open(paths []string) (*Source, error) {
	s := &Source{}
	var faults []error
	for _, path := range paths {
		f, err := readFooter(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("parquet: %w", err))
			continue
		}
		s.files = append(s.files, f)
	}
	if len(paths) == 0 {
		faults = append(faults, errors.New("parquet: there is no file"))
	}
	return s, errors.Join(faults...)
}

// Columns are the columns of all files, in the order of the first file that has each, and the
// fields that velo does not read. A column that some file lacks, or whose values some file allows
// to be NULL, is nullable. It is an error if a column is of other types in other files.
func (s *Source) Columns() (fields []record.Field, left []connect.LeftField, err error) {
	type seen struct {
		at, files int
		where     string
	}
	index, without := map[string]*seen{}, map[string]bool{}
	for _, f := range s.files {
		for i := range f.leaves {
			l := &f.leaves[i]
			if l.unread != "" {
				if !without[l.name] {
					without[l.name] = true
					left = append(left, connect.LeftField{Name: l.name, Why: l.unread})
				}
				continue
			}
			k := index[l.name]
			if k == nil {
				index[l.name] = &seen{len(fields), 1, f.path}
				fields = append(fields, record.Field{Name: l.name, Type: l.kind, Nullable: l.present > 0})
				continue
			}
			k.files++
			at := &fields[k.at]
			at.Nullable = at.Nullable || l.present > 0
			if at.Type != l.kind {
				return nil, nil, fmt.Errorf("parquet: column %q is %v in %s, and %v in %s: declare its type, or read "+
					"the files apart", l.name, at.Type, k.where, l.kind, f.path)
			}
		}
	}
	for _, k := range index {
		if k.files < len(s.files) {
			fields[k.at].Nullable = true
		}
	}
	fields = slices.DeleteFunc(fields, func(f record.Field) bool { return without[f.Name] })
	return fields, left, nil
}

// Bind says which columns are read, and as what. Columns go by their names: as they are written,
// and if there is no such field, whatever their case. The error lists every column that a file
// cannot give.
func (s *Source) Bind(schema *record.Schema) error {
	s.schema, s.places = schema, nil
	var faults []error
	for _, f := range s.files {
		places := make([]int, schema.Len())
		for i := range places {
			field := schema.Field(i)
			places[i] = f.find(field.Name)
			why := ""
			switch at := places[i]; {
			case at < 0 && !field.Nullable:
				why = "there is no such field, and the column is NOT NULL"
			case at >= 0:
				why = f.leaves[at].takes(field.Type)
			}
			if why != "" {
				faults = append(faults, fmt.Errorf("parquet: %s: column %q, which is %v: %s", f.path, field.Name,
					field.Type, why))
			}
		}
		s.places = append(s.places, places)
	}
	return errors.Join(faults...)
}

// find is the leaf of a name; -1 if there is none.
func (f *file) find(name string) int {
	i := slices.IndexFunc(f.leaves, func(l leaf) bool { return l.name == name })
	if i < 0 {
		i = slices.IndexFunc(f.leaves, func(l leaf) bool { return strings.EqualFold(l.name, name) })
	}
	return i
}

// Rows is the number of rows of all files.
func (s *Source) Rows() int64 {
	n := int64(0)
	for _, f := range s.files {
		n += f.meta.NumRows
	}
	return n
}

// Readers makes readers, which share the row groups. Bind was called before.
func (s *Source) Readers(n int) []record.Reader {
	d := &dealt{}
	for i, f := range s.files {
		for g := range f.meta.RowGroups {
			d.units = append(d.units, unit{i, g})
		}
	}
	d.done = newProgress(s.files)
	all := make([]record.Reader, max(n, 1))
	for i := range all {
		all[i] = &Reader{source: s, dealt: d, files: s.files, number: i, at: -1}
	}
	return all
}

// A unit is a row group of a file.
type unit struct{ file, group int }

// dealt are the row groups that the readers of a query share. Who has read one takes the next, so
// that no reader waits while another one has much to do. They are taken in order: the records of a
// reader come in the order of the files.
type dealt struct {
	units []unit
	// next is the next unit. Each reader takes it with Add, so each unit is taken once. Nothing is
	// published with it: what lies in units was written before the readers were given away.
	next atomic.Int64
	// done is what had been read before a restart. Nobody writes to it after the first ResumeFrom,
	// and the engine calls those one after the other, before the first Poll.
	done *progress
}

// take takes the next unit that has something to read.
func (d *dealt) take() (unit, bool) {
	for {
		i := d.next.Add(1) - 1
		if i >= int64(len(d.units)) {
			return unit{}, false
		}
		if u := d.units[i]; !d.done.isDone(u) {
			return u, true
		}
	}
}
