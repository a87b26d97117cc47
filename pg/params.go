package pg

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/pg/catalog"
	"github.com/velo-engine/velo/record"
)

// parameter is the value of a parameter of Bind, as a Go value.
func parameter(types func() *pgtype.Map, st *style, n int, oid uint32, format int16, raw []byte) (any, error) {
	if raw == nil {
		return nil, nil
	}
	var v any
	var err error
	switch format {
	case formatText:
		v, err = textParameter(types, st, oid, string(raw))
	case formatBinary:
		v, err = binaryParameter(types, oid, raw)
	default:
		return nil, errorf(
			codeProtocol,
			"parameter $%d has format %d; there are 0 for text and 1 for binary",
			n,
			format,
		)
	}
	if err != nil {
		code := codeBadText
		if format == formatBinary {
			code = codeBadBinary
		}
		name := strconv.FormatUint(uint64(oid), 10)
		if t, ok := types().TypeForOID(oid); ok {
			name = t.Name
		}
		return nil, errorf(code, "parameter $%d is not a valid %s: %v", n, name, err)
	}
	return v, nil
}

func textParameter(types func() *pgtype.Map, st *style, oid uint32, s string) (any, error) {
	switch oid {
	case 0, oidText, oidVarchar, oidBpchar, oidUnknown, oidName:
		return validText(s)
	case oidBool:
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "t", "true", "y", "yes", "on", "1":
			return true, nil
		case "f", "false", "n", "no", "off", "0":
			return false, nil
		}
		return nil, strconv.ErrSyntax
	case oidInt2:
		return strconv.ParseInt(strings.TrimSpace(s), 10, 16)
	case oidInt4:
		return strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	case oidInt8:
		return strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	case oidOID:
		n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
		return int64(n), err
	case oidFloat4, oidFloat8:
		return strconv.ParseFloat(strings.TrimSpace(s), 64)
	case oidNumeric:
		return decimalOf(strings.TrimSpace(s))
	case oidTimestamp, oidTimestamptz, oidDate:
		return timeOf(s, st.zone)
	case oidTime, oidInterval, oidUUID, oidBytea:
		return literalOf(oid, s)
	}
	if catalog.IsReg(oid) {
		return s, nil // the catalog finds the object
	}
	return listParameter(types, oid, formatText, []byte(s))
}

func validText(s string) (any, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errorf(codeBadText, "a text may not have a zero byte")
	}
	if !utf8.ValidString(s) {
		return nil, errorf(codeBadEncoding, "it is not UTF-8")
	}
	return s, nil
}

func binaryParameter(types func() *pgtype.Map, oid uint32, b []byte) (any, error) {
	size := func(n int) error {
		if len(b) != n {
			return errorf(codeBadBinary, "%d bytes, and it has %d", len(b), n)
		}
		return nil
	}
	switch oid {
	case 0, oidText, oidVarchar, oidBpchar, oidUnknown, oidName:
		return validText(string(b))
	case oidBool:
		return len(b) > 0 && b[0] != 0, size(1)
	case oidInt2:
		err := size(2)
		if err != nil {
			return nil, err
		}
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case oidInt4, oidOID, oidFloat4, oidDate, oidRegclass, oidRegtype:
		err := size(4)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(b)
		switch oid {
		case oidOID, oidRegclass, oidRegtype:
			return int64(n), nil
		case oidFloat4:
			return float64(math.Float32frombits(n)), nil
		case oidDate:
			return time.Unix(pgEpoch/1_000_000+int64(int32(n))*86400, 0).UTC(), nil
		}
		return int64(int32(n)), nil
	case oidInt8, oidFloat8, oidTimestamp, oidTimestamptz:
		err := size(8)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint64(b)
		switch oid {
		case oidInt8:
			return int64(n), nil
		case oidFloat8:
			return math.Float64frombits(n), nil
		}
		if int64(n) > math.MaxInt64-pgEpoch {
			return nil, errorf(codeBadBinary, "a time beyond the year 294276")
		}
		return time.UnixMicro(int64(n) + pgEpoch).UTC(), nil
	case oidNumeric:
		return binaryNumeric(types, b)
	case oidTime:
		err := size(8)
		if err != nil {
			return nil, err
		}
		us := binary.BigEndian.Uint64(b)
		if us > record.DayNanos/1000 {
			return nil, errorf(codeBadBinary, "%d microseconds since midnight are no time of day", int64(us))
		}
		return literalOf(oid, string(record.AppendClock(nil, int64(us)*1000)))
	case oidInterval:
		err := size(16)
		if err != nil {
			return nil, err
		}
		return binaryInterval(b)
	case oidUUID:
		err := size(16)
		if err != nil {
			return nil, err
		}
		return literalOf(oid, string(record.AppendLogical(nil, record.UUID, 0, b)))
	case oidBytea:
		return literalOf(oid, string(record.AppendLogical(nil, record.Bytes, 0, b)))
	}
	return listParameter(types, oid, formatBinary, b)
}

// literalOf is a value of a logical type by its text.
func literalOf(oid uint32, s string) (any, error) {
	t := map[uint32]record.Type{
		oidTime: record.TimeOfDay, oidInterval: record.Interval, oidUUID: record.UUID, oidBytea: record.Bytes,
	}[oid]
	_, _, err := record.ParseLogical(nil, t, s)
	return record.Literal{Type: t, Text: s}, err
}

// binaryInterval is microseconds, days and months.
func binaryInterval(b []byte) (any, error) {
	us, days := int64(binary.BigEndian.Uint64(b)), int64(int32(binary.BigEndian.Uint32(b[8:])))
	const mostMicros, mostDays = math.MaxInt64 / 2000, math.MaxInt64 / 2 / record.DayNanos
	switch {
	case binary.BigEndian.Uint32(b[12:]) != 0:
		return nil, errorf(codeBadBinary, "an interval with months, which have no fixed length")
	case us > mostMicros || us < -mostMicros || days > mostDays || days < -mostDays:
		return nil, errorf(codeBadBinary, "an interval of more than 146 years")
	}
	return literalOf(oidInterval, string(record.AppendInterval(nil, us*1000+days*record.DayNanos)))
}

func binaryNumeric(types func() *pgtype.Map, b []byte) (any, error) {
	var n pgtype.Numeric
	err := types().Scan(oidNumeric, formatBinary, b, &n)
	if err != nil {
		return nil, err
	}
	text, err := types().Encode(oidNumeric, formatText, n, nil)
	if err != nil {
		return nil, err
	}
	return decimalOf(string(text))
}

// listParameter decodes what only the catalog can use, such as arrays of texts.
func listParameter(types func() *pgtype.Map, oid uint32, format int16, b []byte) (any, error) {
	t, ok := types().TypeForOID(oid)
	if !ok {
		return nil, errorf(codeUnsupported, "there is no such type here")
	}
	v, err := t.Codec.DecodeValue(types(), oid, format, b)
	if err != nil {
		return nil, err
	}
	return plain(v), nil
}

// plain makes the values of pgtype those that the catalog knows.
func plain(v any) any {
	switch v := v.(type) {
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// decimalOf reads a decimal, wide if it has more than 18 digits. One that velo's decimals cannot
// have is a double.
func decimalOf(s string) (any, error) {
	whole, frac, _ := strings.Cut(s, ".")
	digits := strings.TrimLeft(strings.TrimLeft(whole, "+-"), "0") + frac
	if !strings.ContainsAny(s, "eEnN") && len(frac) <= record.MaxPrecision && len(digits) <= record.MaxPrecision {
		n, err := strconv.ParseInt(whole+frac, 10, 64)
		if err != nil {
			return nil, strconv.ErrSyntax
		}
		return record.Decimal{Unscaled: n, Scale: uint8(len(frac))}, nil
	}
	if t := record.DecimalOf(record.MaxDigits, min(len(frac), record.MaxDigits)); !strings.ContainsAny(s, "eEnN") {
		_, bytes, err := record.ParseLogical(nil, t, s)
		if err == nil {
			return record.WideDecimal(t, bytes), nil
		}
	}
	return strconv.ParseFloat(s, 64)
}

// timeOf reads a time as PostgreSQL writes it, or as RFC 3339 has it.
func timeOf(s string, zone *time.Location) (any, error) {
	n, err := record.ParseTime(strings.TrimSpace(s), zone)
	if err != nil {
		return nil, err
	}
	return time.Unix(0, n).UTC(), nil
}
