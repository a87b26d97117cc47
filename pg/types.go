package pg

import "github.com/velo-engine/velo/record"

// OIDs of PostgreSQL's types.
const (
	oidBool        = 16
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOID         = 26
	oidFloat4      = 700
	oidFloat8      = 701
	oidUnknown     = 705
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidName        = 19
	oidBytea       = 17
	oidUUID        = 2950
	oidInterval    = 1186
	oidTime        = 1083
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidRegclass    = 2205
	oidRegtype     = 2206
)

// A column is what RowDescription says of a column.
type column struct {
	name string
	oid  uint32
	mod  int32
}

func textColumn(name string) column { return column{name: name, oid: oidText, mod: -1} }

// columnOf is the column of a field.
func columnOf(f record.Field) column {
	c := column{name: f.Name, oid: oidOf(f.Type), mod: -1}
	if f.Type.IsDecimal() || f.Type.IsWide() {
		c.mod = int32(f.Type.Precision()<<16|f.Type.Scale()) + 4
	}
	return c
}

func columnsOf(s *record.Schema) []column {
	all := make([]column, s.Len())
	for i := range all {
		all[i] = columnOf(s.Field(i))
	}
	return all
}

func oidOf(t record.Type) uint32 {
	switch {
	case t == record.Bool:
		return oidBool
	case t == record.Int64:
		return oidInt8
	case t == record.Float64:
		return oidFloat8
	case t == record.Timestamp:
		return oidTimestamptz
	case t == record.TimeOfDay:
		return oidTime
	case t == record.Interval:
		return oidInterval
	case t == record.UUID:
		return oidUUID
	case t == record.Bytes:
		return oidBytea
	case t.IsDecimal() || t.IsWide():
		return oidNumeric
	}
	return oidText
}

// sizeOf is the size that RowDescription says of a type; -1 for one of no fixed size.
func sizeOf(oid uint32) int16 {
	switch oid {
	case oidBool, 18: // "char"
		return 1
	case oidInt2:
		return 2
	case oidInt4, oidFloat4, oidOID, oidDate, 2205, 2206, 24, 4089, 4096:
		return 4
	case oidInt8, oidFloat8, oidTimestamp, oidTimestamptz, oidTime:
		return 8
	case oidUUID, oidInterval:
		return 16
	case oidName:
		return 64
	case oidUnknown:
		return -2
	}
	return -1
}
