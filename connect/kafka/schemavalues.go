package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/record"
)

// schemaDecoder parses values in Avro and Protobuf, whose schemas a registry has. It does what
// readers.Messages does for other formats: values are added, copied one after the other, and then
// parsed together. It belongs to one goroutine.
type schemaDecoder struct {
	registry *registry
	schema   *record.Schema // of the columns that come out of values
	timeUnit time.Duration  // of whole numbers that are times and have no logical type; 0 if not set
	read     []bool         // which columns are read; nil if all are

	// plans has a plan for each schema that this reader has seen; last is the plan of the last
	// value.
	plans  map[uint32]*schemaPlan
	lastID uint32
	last   *schemaPlan

	values []columnValue // of the row that is being read, by column
	digits []byte        // texts that are no bytes of the value, in that row

	buf  []byte
	ends []int
	next int // the first value that has not been parsed
}

// schemaPlan is how values of a schema become rows.
type schemaPlan struct {
	fields []avroField  // of a record in Avro
	proto  *protoSchema // nil for Avro
	unfit  error        // why no value of this schema can become a row
	made   time.Time
}

func newSchemaDecoder(c *SourceConfig, schema *record.Schema, from *registry) *schemaDecoder {
	return &schemaDecoder{
		registry: from, schema: schema, timeUnit: c.Values.TimeUnit, plans: map[uint32]*schemaPlan{},
		values: make([]columnValue, schema.Len()),
	}
}

// columns says which columns are read. It is called before the first value.
func (d *schemaDecoder) columns(read []bool) { d.read = read }

// len is how many values have not been parsed, and bytes how much memory they take.
func (d *schemaDecoder) len() int   { return len(d.ends) - d.next }
func (d *schemaDecoder) bytes() int { return len(d.buf) }

// schemaHeader is what comes before a value: a byte 0 and the id of the schema.
const schemaHeader = 5

// errSchemaHeader says that a value does not begin as it should.
var errSchemaHeader = errors.New("the value does not begin with a byte 0 and the id of a schema, as serializers that " +
	"work with a schema registry write them")

// ready says whether a value can be parsed now, or whether its schema is still on its way. The
// error ends the source.
func (d *schemaDecoder) ready(value []byte) (bool, error) {
	if len(value) < schemaHeader || value[0] != 0 {
		return true, nil // it will be set aside
	}
	id := binary.BigEndian.Uint32(value[1:])
	if d.last != nil && d.lastID == id && d.last.unfit == nil {
		return true, nil
	}
	plan := d.plans[id]
	if plan == nil || plan.unfit != nil && time.Since(plan.made) > askAgain {
		t, there, err := d.registry.get(id)
		if !there || errors.Is(err, errRegistry) {
			return false, err
		}
		plan = &schemaPlan{unfit: err, made: time.Now()}
		if err == nil {
			plan.compile(d, t)
		}
		if len(d.plans) >= maxSchemas && d.len() == 0 { // no value that waits needs one
			clear(d.plans)
		}
		d.plans[id] = plan
	}
	d.lastID, d.last = id, plan
	return true, nil
}

// compile makes the plan of a schema. The messages of a schema of Protobuf get theirs when they
// come.
func (p *schemaPlan) compile(d *schemaDecoder, t *writtenSchema) {
	switch {
	case t.proto != nil:
		p.proto = &protoSchema{file: t.proto, messages: map[string]*protoMessage{}}
	case t.avro.kind != avroRecord:
		p.unfit = fmt.Errorf("it is %s, expected a record", t.avro.name)
	default:
		p.fields, p.unfit = d.planOf(t.avro, d.paths())
	}
}

// paths are the names of the columns that are read.
func (d *schemaDecoder) paths() map[int]string {
	paths := map[int]string{}
	for i := range d.schema.Len() {
		if d.read == nil || d.read[i] {
			paths[i] = d.schema.Field(i).Name
		}
	}
	return paths
}

// add adds a copy of a value for which ready has returned true.
func (d *schemaDecoder) add(value []byte) {
	if d.next == len(d.ends) {
		d.buf, d.ends, d.next = d.buf[:0], d.ends[:0], 0
	}
	d.buf = append(d.buf, value...)
	d.ends = append(d.ends, len(d.buf))
}

// parse is readers.Messages.Parse: each value is a row or a Reject, whose Offset is its place among
// those that this call has taken. A value without bytes is a row of NULLs.
func (d *schemaDecoder) parse(b *record.Batch) (taken int) {
	for d.next < len(d.ends) {
		from := 0
		if d.next > 0 {
			from = d.ends[d.next-1]
		}
		value := d.buf[from:d.ends[d.next]]
		text, err := d.row(value)
		switch {
		case err != nil:
			if !b.Reject(record.Reject{Offset: int64(taken), Reason: err, Bytes: value}) {
				return taken
			}
		case !b.Add(text):
			return taken
		default:
			d.set(b)
		}
		d.next++
		taken++
	}
	return taken
}

// row reads a value into d.values. It returns how many bytes the texts have.
func (d *schemaDecoder) row(value []byte) (text int, err error) {
	for i := range d.values {
		d.values[i] = columnValue{null: true}
	}
	if len(value) == 0 {
		return 0, nil // a tombstone; the columns are nullable
	}
	if len(value) < schemaHeader || value[0] != 0 {
		return 0, errSchemaHeader
	}
	id := binary.BigEndian.Uint32(value[1:])
	plan := d.plans[id] // ready has made it
	if plan.unfit != nil {
		return 0, fmt.Errorf("schema %d: %w", id, plan.unfit)
	}
	if plan.proto != nil {
		err = d.protobufRow(plan.proto, value)
	} else {
		err = d.avroRow(plan, value)
	}
	if err != nil {
		return 0, fmt.Errorf("schema %d: %w", id, err)
	}
	for i := range d.values {
		v := &d.values[i]
		if v.null && !d.schema.Field(i).Nullable && (d.read == nil || d.read[i]) {
			return 0, fmt.Errorf("column %q is null, and not nullable", d.schema.Field(i).Name)
		}
		text += len(v.text)
	}
	return text, nil
}

// avroRow reads a record.
func (d *schemaDecoder) avroRow(plan *schemaPlan, value []byte) error {
	d.digits = d.digits[:0]
	i, err := d.fields(plan.fields, value, schemaHeader, 0)
	if err == nil && i < len(value) {
		err = fmt.Errorf("%d bytes are left after the last field", len(value)-i)
	}
	return err
}

// fields reads the fields of a record that begins at i.
func (d *schemaDecoder) fields(plan []avroField, buf []byte, i, depth int) (next int, err error) {
	for k := range plan {
		f := &plan[k]
		if f.null >= 0 {
			var branch int64
			branch, i, err = avroLong(buf, i)
			if err == nil && branch != 0 && branch != 1 {
				err = fmt.Errorf("branch %d of a union that has 2", branch)
			}
			if err != nil {
				return 0, err
			}
			if int(branch) == f.null {
				continue // the columns are NULL
			}
		}
		switch {
		case f.within != nil:
			i, err = d.fields(f.within, buf, i, depth+1)
		case f.column >= 0:
			v := &d.values[f.column]
			v.null = false
			i, err = f.set(d, f.typ, v, buf, i)
			if err != nil {
				err = fmt.Errorf("column %q: %w", d.schema.Field(f.column).Name, err)
			}
		default:
			i, err = f.typ.pass(buf, i, depth+1)
		}
		if err != nil {
			return 0, err
		}
	}
	return i, nil
}

// set sets the columns of the last row.
func (d *schemaDecoder) set(b *record.Batch) {
	for i := range d.values {
		v := &d.values[i]
		f := d.schema.Field(i)
		switch {
		case v.null:
			if f.Nullable {
				b.SetNull(i)
			}
		case f.Type.Kind() == record.String:
			b.SetBytes(i, v.text)
		case f.Type == record.Float64:
			b.SetFloat64(i, v.float)
		default:
			b.SetInt64(i, v.int)
		}
	}
}
