package kafka

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// partOf says which part of a record a column comes from.
type partOf uint8

const (
	ofKey partOf = iota
	ofPartition
	ofOffset
	ofTimestamp
	ofHeader
	ofValue // the whole value: format Raw
)

// metaColumn is a column that does not come out of a parsed value.
type metaColumn struct {
	column   int
	of       partOf
	header   string
	name     string
	text     bool // else a number
	nullable bool
}

// layout says where the columns come from.
type layout struct {
	meta []metaColumn
	// values are the columns that come out of parsed values, and inner is their schema; nil for
	// format Raw.
	values []int
	inner  *record.Schema
}

// newLayout finds out where each column comes from. The error says all that is wrong.
func newLayout(c *SourceConfig) (*layout, error) {
	if c.Schema == nil {
		return nil, errors.New("kafka: no schema")
	}
	l := &layout{}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("kafka: "+format, args...)) }
	used := map[int]bool{}
	add := func(name string, of partOf, what, header string, types ...record.Type) {
		i, ok := c.Schema.Index(name)
		switch {
		case name == "":
		case !ok:
			fault("there is no column %q for the %s", name, what)
		case used[i]:
			fault("column %q is for the %s and for something else", name, what)
		case !slices.Contains(types, c.Schema.Field(i).Type):
			fault("column %q is for the %s and is %v, expected %v", name, what, c.Schema.Field(i).Type, types[0])
		default:
			f := c.Schema.Field(i)
			used[i] = true
			l.meta = append(l.meta, metaColumn{
				column: i, of: of, header: header, name: name, text: f.Type == record.String, nullable: f.Nullable,
			})
		}
	}
	add(c.Key, ofKey, "key", "", record.String, record.Int64)
	add(c.Partition, ofPartition, "partition", "", record.Int64)
	add(c.Offset, ofOffset, "offset", "", record.Int64)
	add(c.Timestamp, ofTimestamp, "timestamp", "", record.Timestamp)
	for _, column := range slices.Sorted(maps.Keys(c.Headers)) {
		add(column, ofHeader, "header "+c.Headers[column], c.Headers[column], record.String)
	}
	var fields []record.Field
	for i := range c.Schema.Len() {
		if !used[i] {
			l.values = append(l.values, i)
			fields = append(fields, c.Schema.Field(i))
		}
	}
	switch c.Format {
	case "", JSON, CSV, Avro, Protobuf:
		if len(fields) == 0 {
			fault("no column is for the value, expected one or more")
		}
	case Raw:
		if len(fields) != 1 {
			fault("%d columns are for the value, and format raw has one", len(fields))
			break
		}
		add(fields[0].Name, ofValue, "value", "", record.String, record.Int64)
		l.values = nil
	default:
		fault("format %q, expected %s, %s, %s, %s or %s", c.Format, JSON, CSV, Raw, Avro, Protobuf)
	}
	if c.Tombstones == TombstoneRows {
		for _, f := range fields {
			if !f.Nullable {
				fault("column %q is not nullable, and a record without a value has NULL there", f.Name)
			}
		}
		if c.Format == CSV {
			fault("a record without a value cannot be a row of format csv: expected tombstones to be skipped " +
				"or rejected")
		}
	}
	if len(l.values) > 0 {
		var err error
		if l.inner, err = record.NewSchema(c.Schema.Name(), fields...); err != nil {
			faults = append(faults, err)
		} else if _, err = l.parser(c); err != nil {
			faults = append(faults, err)
		}
	}
	return l, errors.Join(faults...)
}

// parser makes what parses values; nil for format Raw, and for those that have a schemaDecoder.
func (l *layout) parser(c *SourceConfig) (*readers.Messages, error) {
	switch {
	case l.inner == nil || c.Format.hasSchemas():
		return nil, nil
	case c.Format == CSV:
		return readers.NewDelimitedMessages(readers.DelimitedConfig{
			Schema: l.inner, ValueOptions: c.Values, Delimiter: c.Delimiter, Quote: c.Quote,
			MaxRecordBytes: c.MaxRecordBytes,
		})
	}
	return readers.NewNDJSONMessages(readers.NDJSONConfig{
		Schema: l.inner, ValueOptions: c.Values, MaxRecordBytes: c.MaxRecordBytes,
	})
}
