package parquet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strings"

	"github.com/parquet-go/parquet-go/format"

	"github.com/velo-engine/velo/record"
)

// # Row groups that are left out
//
// A footer may have the least and the greatest value of each column of a row group. If they say
// that no record meets a bound (see record.Skipper), the row group is not read. It is read if there
// is the least doubt:
//
//   - Only min_value and max_value count, and only if the footer says in which order they are
//     (column_orders). What older writers have put into min and max was of the wrong order at times.
//   - Numbers and times in INT32 and INT64 with a sign, FLOAT and DOUBLE count, and texts in byte
//     arrays, which are ordered by their bytes. A writer may cut a text off in the footer: the least
//     value is then a prefix, which is less, and the writer makes the greatest one greater. So both
//     are bounds, and need not be values. Without a least value the empty text is one. The text of
//     a UUID is not in the file.
//   - NaN is in no statistics, and is greater than all others for velo. So for doubles only an upper
//     bound, or equality, leaves out anything. Statistics that are NaN themselves say nothing.
//   - NULL meets no bound, so it does not matter whether there are any.
//   - All columns that are read must be such that no record of the row group is set aside: who
//     looks for bad records finds the same ones.
//
// TestSkipTwin reads the same files with and without it.

// Skip says what the records that anybody wants meet: see record.Skipper.
func (r *Reader) Skip(unless []record.Bound) { r.bounds = unless }

// Skipped is how many records are in row groups that were left out.
func (r *Reader) Skipped() uint64 { return r.skipped.Load() }

// take takes the next row group that may have a record that somebody wants.
func (r *Reader) take() (unit, bool) {
	for {
		u, ok := r.dealt.take()
		if !ok || !r.leavesOut(u) {
			return u, ok
		}
		rows := r.files[u.file].meta.RowGroups[u.group].NumRows
		r.skipped.Add(uint64(rows))
		if r.progress != nil {
			r.progress.files[u.file].reads(u.group, rows, true)
		}
	}
}

// leavesOut says whether no record of a row group is wanted.
func (r *Reader) leavesOut(u unit) bool {
	f := r.files[u.file]
	out := false
	for i := range r.bounds {
		b := &r.bounds[i]
		place := r.source.places[u.file][b.Column]
		if place >= 0 && f.failsAll(u.group, place, r.source.schema.Field(b.Column).Type, b) {
			out = true
			break
		}
	}
	if !out {
		return false
	}
	for _, c := range r.columns {
		place := r.source.places[u.file][c.number]
		if place >= 0 && f.maySetAside(u.group, place, c.field) {
			return false
		}
	}
	return true
}

// statisticsOf are the least and the greatest value of a column of a row group, as they lie in the
// file; ok is false if they are not known.
func (f *file) statisticsOf(group, place int) (least, greatest []byte, ok bool) {
	if !f.ordered(place) {
		return nil, nil, false
	}
	s := &f.meta.RowGroups[group].Columns[place].MetaData.Statistics
	return s.MinValue, s.MaxValue, len(s.MinValue) > 0 && len(s.MinValue) == len(s.MaxValue)
}

// texts are a least and a greatest text, between which all values of a column of a row group are;
// ok is false if there are none.
func (f *file) texts(group, place int) (least, greatest []byte, ok bool) {
	l := &f.leaves[place]
	if l.kind != record.String && l.kind != record.Bytes ||
		l.physical != format.ByteArray && l.physical != format.FixedLenByteArray {
		return nil, nil, false
	}
	if !f.ordered(place) {
		return nil, nil, false
	}
	s := &f.meta.RowGroups[group].Columns[place].MetaData.Statistics
	return s.MinValue, s.MaxValue, len(s.MaxValue) > 0 && bytes.Compare(s.MinValue, s.MaxValue) <= 0
}

// ordered says whether the footer says in which order the values of a column are.
func (f *file) ordered(place int) bool {
	if place >= len(f.meta.ColumnOrders) {
		return false
	}
	_, typed := f.meta.ColumnOrders[place].Value.(*format.TypeDefinedOrder)
	return typed
}

// wholes are the least and the greatest number of a column of a row group, as the file has them; ok
// is false if they are not known.
func (f *file) wholes(group, place int) (least, greatest int64, ok bool) {
	low, high, ok := f.statisticsOf(group, place)
	l := &f.leaves[place]
	switch {
	case !ok || l.how.unsigned:
		return 0, 0, false
	case l.physical == format.Int32 && len(low) == 4:
		least, greatest = int64(int32(binary.LittleEndian.Uint32(low))), int64(int32(binary.LittleEndian.Uint32(high)))
	case l.physical == format.Int64 && len(low) == 8:
		least, greatest = int64(binary.LittleEndian.Uint64(low)), int64(binary.LittleEndian.Uint64(high))
	default:
		return 0, 0, false
	}
	return least, greatest, least <= greatest
}

// doubles are wholes for FLOAT and DOUBLE.
func (f *file) doubles(group, place int) (least, greatest float64, ok bool) {
	low, high, ok := f.statisticsOf(group, place)
	switch l := &f.leaves[place]; {
	case !ok:
		return 0, 0, false
	case l.physical == format.Float && len(low) == 4:
		least = float64(math.Float32frombits(binary.LittleEndian.Uint32(low)))
		greatest = float64(math.Float32frombits(binary.LittleEndian.Uint32(high)))
	case l.physical == format.Double && len(low) == 8:
		least = math.Float64frombits(binary.LittleEndian.Uint64(low))
		greatest = math.Float64frombits(binary.LittleEndian.Uint64(high))
	default:
		return 0, 0, false
	}
	return least, greatest, least <= greatest // false if one is NaN
}

// failsAll says whether no value of a column of a row group meets a bound.
func (f *file) failsAll(group, place int, t record.Type, b *record.Bound) bool {
	if t == record.Float64 {
		least, greatest, ok := f.doubles(group, place)
		v := math.Float64frombits(b.Bits)
		if !ok || math.IsNaN(v) {
			return false
		}
		switch b.Is {
		case record.Equal:
			return v < least || v > greatest
		case record.Less:
			return least >= v
		case record.LessOrEqual:
			return least > v
		}
		return false // there may be NaN
	}
	if t == record.String {
		least, greatest, ok := f.texts(group, place)
		return ok && failsBetween(b.Is, strings.Compare(string(least), b.Text),
			strings.Compare(string(greatest), b.Text))
	}
	least, greatest, ok := f.wholes(group, place)
	low, high, times := f.leaves[place].bounds(t)
	if !ok || t.Kind() != record.Int64 && t != record.Timestamp && !t.IsDecimal() || least < low || greatest > high {
		return false
	}
	least, greatest = least*times, greatest*times
	v := int64(b.Bits)
	return failsBetween(b.Is, cmp.Compare(least, v), cmp.Compare(greatest, v))
}

// failsBetween says whether no value between two others meets a comparison with a constant. Least
// and greatest are how these compare with the constant.
func failsBetween(is record.Comparison, least, greatest int) bool {
	switch is {
	case record.Equal:
		return least > 0 || greatest < 0
	case record.Less:
		return least >= 0
	case record.LessOrEqual:
		return least > 0
	case record.Greater:
		return greatest <= 0
	case record.GreaterOrEqual:
		return greatest < 0
	}
	return false
}

// maySetAside says whether a column of a row group may have a value that a record cannot have.
func (f *file) maySetAside(group, place int, field record.Field) bool {
	l := &f.leaves[place]
	if !field.Nullable && l.present > 0 {
		return true
	}
	if field.Type.Kind() == record.String || field.Type == record.Bool ||
		field.Type == record.Float64 && (l.physical == format.Float || l.physical == format.Double) {
		return false
	}
	low, high, times := l.bounds(field.Type)
	if low == math.MinInt64 && high == math.MaxInt64 && times == 1 && !l.how.unsigned &&
		(l.physical == format.Int32 || l.physical == format.Int64) {
		return false
	}
	least, greatest, ok := f.wholes(group, place)
	return !ok || least < low || greatest > high
}
