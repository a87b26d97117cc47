package expr

import (
	"errors"
	"fmt"

	"github.com/velo-engine/velo/record"
)

// An Op is an operation.
type Op uint8

// The operations. Arguments have the same type unless the comment says otherwise. An argument that
// is NULL makes the result NULL unless the comment says otherwise. Numbers are bigint, double
// precision, and decimals of the same scale.
const (
	opColumn Op = iota
	opConst
	opCast
	opExtract
	opDateTrunc
	opLike
	opCase

	Add // two numbers
	Sub
	Mul // two numbers; the scales of decimals add up
	Div // two numbers, but not decimals of one word; the quotient of integers is cut towards 0
	Mod // two numbers, but not floats
	Neg
	Abs
	Sign

	Eq // two values of any type
	Ne
	Lt
	Le
	Gt
	Ge
	Distinct // IS DISTINCT FROM: NULL counts as a value
	In       // whether the first argument is one of the others, which are constants

	And // three-valued
	Or
	Not
	IsNull
	IsTrue // IS TRUE: NULL is not true
	IsFalse

	Coalesce // the first argument that is not NULL
	NullIf   // the first argument, or NULL if it equals the second
	Greatest // the greatest argument that is not NULL
	Least

	Lower // a text
	Upper
	Length    // number of characters
	Substring // text, first character (counted from 1), and optionally the number of characters
	Join      // ||
	Concat    // texts; NULL counts as empty
	Trim      // text, and optionally the characters to take off
	TrimLeft
	TrimRight
	SplitPart // text, separator, number of the part (counted from the end if negative)
	Replace   // text, what to replace, the replacement
	Position  // position of the second text in the first, counted from 1; 0 if it is not there

	Round // floats round to even; decimals round away from 0 and become whole
	Floor
	Ceil
	Trunc
	Power // two floats
	Sqrt
	Ln
	Exp
	opMath      // see Math
	roundTo     // see RoundTo
	Atan2       // two floats
	Factorial   // a bigint
	GCD         // two bigints
	LCM         // two bigints
	BitCount    // the number of ones of a bigint
	WidthBucket // a float, two bounds, and the number of buckets
	BitAnd      // two bigints
	BitOr
	BitXor
	ShiftLeft  // a bigint, number of bits
	ShiftRight // a bigint, number of bits; the sign stays
	BitNot

	AddNanos    // a timestamp and a bigint
	SubTimes    // the nanoseconds from the second argument to the first
	ToTimestamp // seconds, a float

	Left        // text, number of characters; a negative number means all except that many
	Right       // text, number of characters, counted from the end as in Left
	PadLeft     // text, number of characters, and optionally what to pad with
	PadRight    // like PadLeft, but pads at the end
	Repeat      // text, number of times
	Reverse     // a text
	StartsWith  // text, prefix
	ASCII       // the code point of the first character
	Chr         // the character of a code point
	MD5         // a text; the result has hexadecimal digits
	OctetLength // number of bytes
	Log10       // a float

	EndsWith  // text, suffix
	ConcatWS  // a separator, and texts; texts that are NULL are left out
	InitCap   // a text
	Translate // text, characters to replace, the characters that replace them
	ToHex     // a bigint
	Overlay   // text, replacement, position from 1, and optionally the number of characters replaced
	opTry     // see Try

	RegexpMatch // see Regexp
	RegexpFind
	RegexpCount
	RegexpPlace // the position of the first match, counted from 1; 0 if there is none
	regexpReplace

	DateBin // the length of a bin as a bigint, a timestamp, and the begin of one of the bins
	inZone
	fromZone
	truncZone
	toChar
	toCharNumber // see ToCharNumber
	toCharInterval
	parseTime
	addMonths
	monthBin  // see MonthBin
	AgeMonths // see age.go
	AgeNanos
	AgeText
	MakeDate // year, month, day
	MakeTime // year, month, day, hour, minute, and seconds as a float

	opJSON     // see JSON
	JSONLength // the number of elements of an array
	JSONType   // object, array, string, number, boolean or null
	JSONValid  // whether a text is JSON
	JSONText   // a text as it is; one that is no JSON cannot be computed
	JSONScalar // a text that is JSON, without its quotes; NULL for an object, an array and null

	opLookup // see Lookup
	opLookupColumn

	opUser      // see Call
	opUserNulls // the same for a function that is called for NULLs too

	opEncode // see Encode
	opDecode // see Decode
	opSHA    // see SHA
	SubBytes // a bytea, first byte (counted from 1), and optionally the number of bytes
	// PositionBytes is the position of the second bytea in the first, counted from 1; 0 if it is
	// not there.
	PositionBytes
	TrimBytes // a bytea, and the bytes to take off at both ends
	TrimBytesLeft
	TrimBytesRight

	opRetype  // see Retype
	DivNanos  // a bigint of nanoseconds and a bigint; see evalDivNanos
	AddClock  // a time of day and a bigint of nanoseconds; wraps at midnight
	MakeClock // hours and minutes, and seconds as a float

	opRequire // the argument, of any type; a record in which it is NULL fails
	opChecked // see Checked
	opCount
)

// opInfo is what the package knows about an operation.
type opInfo struct {
	name                   string
	infix, prefix, postfix bool

	// lenient says that the operation handles NULLs itself.
	lenient bool

	// types checks the arguments and sets the type.
	types func(e *Expr) error

	// eval computes the operation, unless it is lazy.
	eval func(e *Expr, a []Value) (Value, error)

	// made appends a text that is not a piece of an argument.
	made func(e *Expr, to []byte, a []Value) ([]byte, error)

	// vector is the loop of the operation. It returns false if it does not work for these types.
	vector func(m *Machine, e *node, a []*vec) bool
}

var ops [opCount]opInfo

func isNumber(t record.Type) bool { return t == record.Int64 || t == record.Float64 || isAnyDecimal(t) }

// opName returns the name of the operation, or of the user's function.
func (e *Expr) opName() string {
	if e.op == opUser || e.op == opUserNulls {
		return e.name
	}
	return ops[e.op].name
}

// fault returns the error for an operation that does not exist for its arguments.
func (e *Expr) fault() error {
	text := ""
	for i, a := range e.args {
		if i > 0 {
			text += ", "
		}
		text += a.typ.String()
	}
	return fmt.Errorf("expr: %s(%s) is not defined", e.opName(), text)
}

// same checks that there are n arguments of one type.
func (e *Expr) same(n int) error {
	if len(e.args) != n {
		return fmt.Errorf("expr: %s of %d arguments, expected %d", ops[e.op].name, len(e.args), n)
	}
	return e.sameType(e.args)
}

func (e *Expr) sameType(args []*Expr) error {
	for _, a := range args[1:] {
		if a.typ != args[0].typ && !(isAnyDecimal(a.typ) && isAnyDecimal(args[0].typ) &&
			a.typ.IsWide() == args[0].typ.IsWide() && a.typ.Scale() == args[0].typ.Scale()) {
			return e.fault()
		}
	}
	return nil
}

// signature makes a rule for the types of a function's arguments and its result. If optional is
// set, the last argument may be left out.
func signature(result record.Type, optional bool, args ...record.Type) func(*Expr) error {
	return func(e *Expr) error {
		n := len(e.args)
		if n > len(args) || n < len(args)-1 || n < len(args) && !optional {
			return fmt.Errorf("expr: %s of %d arguments, expected %d", ops[e.op].name, n, len(args))
		}
		for i, a := range e.args {
			if a.typ != args[i] {
				return e.fault()
			}
		}
		e.typ = result
		return nil
	}
}

func arithmetic(e *Expr) error {
	if err := e.same(2); err != nil {
		return err
	}
	t := e.args[0].typ
	switch {
	case isAnyDecimal(t) && (e.op == Add || e.op == Sub):
		e.typ = decimalLike(t, max(t.Precision(), e.args[1].typ.Precision())+1, t.Scale())
		return nil
	case isAnyDecimal(t) && e.op == Mod:
		e.typ = t
		return nil
	case t == record.Int64, t == record.Float64 && e.op != Mod:
		e.typ = t
		return nil
	}
	return e.fault()
}

func multiply(e *Expr) error {
	if len(e.args) == 2 && isAnyDecimal(e.args[0].typ) && isAnyDecimal(e.args[1].typ) &&
		e.args[0].typ.IsWide() == e.args[1].typ.IsWide() {
		a, b := e.args[0].typ, e.args[1].typ
		if a.Scale()+b.Scale() > most(a) {
			return fmt.Errorf("expr: the product of %v and %v would have %d digits after the point, at most %d are "+
				"kept: cast one of them",
				a, b, a.Scale()+b.Scale(), most(a))
		}
		e.typ = decimalLike(a, a.Precision()+b.Precision(), a.Scale()+b.Scale())
		return nil
	}
	return arithmetic(e)
}

func oneNumber(e *Expr) error {
	if len(e.args) != 1 || !isNumber(e.args[0].typ) {
		return e.fault()
	}
	e.typ = e.args[0].typ
	return nil
}

func comparison(e *Expr) error {
	e.typ = record.Bool
	return e.same(2)
}

func truth(n int) func(*Expr) error {
	return func(e *Expr) error {
		e.typ = record.Bool
		if err := e.same(n); err != nil {
			return err
		}
		if e.args[0].typ != record.Bool {
			return e.fault()
		}
		return nil
	}
}

// choice is the type rule of operations whose result is one of their arguments.
func choice(e *Expr) error {
	if len(e.args) == 0 {
		return errors.New("expr: nothing to choose from")
	}
	if err := e.sameType(e.args); err != nil {
		return err
	}
	e.typ, e.nullable = widest(e.args), true
	for _, a := range e.args {
		e.nullable = e.nullable && a.nullable
	}
	return nil
}

// widest returns the common type of all arguments. For decimals it is the one with the most digits.
func widest(args []*Expr) record.Type {
	t := args[0].typ
	for _, a := range args[1:] {
		if isAnyDecimal(a.typ) && a.typ.Precision() > t.Precision() {
			t = a.typ
		}
	}
	return t
}

func caseTypes(e *Expr) error {
	if len(e.args)%2 != 1 || len(e.args) < 3 {
		return errors.New("expr: a CASE has pairs of a condition and a value, and a value in the end")
	}
	var values []*Expr
	e.nullable = false
	for i, a := range e.args {
		if i%2 == 0 && i < len(e.args)-1 {
			if a.typ != record.Bool {
				return fmt.Errorf("expr: the condition of a CASE is %v, expected boolean", a.typ)
			}
			continue
		}
		values = append(values, a)
		e.nullable = e.nullable || a.nullable
	}
	if err := e.sameType(values); err != nil {
		return fmt.Errorf("expr: the branches of a CASE are %v and %v", values[0].typ, values[len(values)-1].typ)
	}
	e.typ = widest(values)
	return nil
}

func init() {
	const tx, i64, f64, ts, bl = record.String, record.Int64, record.Float64, record.Timestamp, record.Bool
	twoInts := signature(i64, false, i64, i64)
	ops = [opCount]opInfo{
		opCast:      {name: "cast", types: castTypes, eval: evalCast, made: appendCast, vector: vectorCast},
		opExtract:   {name: "extract", types: extractTypes, eval: evalExtract, vector: vectorExtract},
		opDateTrunc: {name: "date_trunc", types: truncTypes, eval: evalTrunc, vector: vectorTrunc},
		opLike:      {name: "LIKE", types: signature(bl, false, tx), eval: evalLike, vector: vectorLike},
		opCase:      {name: "CASE", types: caseTypes, lenient: true},

		Add: {
			name: "+", infix: true, types: arithmetic, eval: evalArithmetic, made: appendWide,
			vector: vectorArithmetic,
		},
		Sub: {
			name: "-", infix: true, types: arithmetic, eval: evalArithmetic, made: appendWide,
			vector: vectorArithmetic,
		},
		Mul: {
			name: "*", infix: true, types: multiply, eval: evalArithmetic, made: appendWide,
			vector: vectorArithmetic,
		},
		Div: {
			name: "/", infix: true, types: divide, eval: evalArithmetic, made: appendWide,
			vector: vectorArithmetic,
		},
		Mod: {
			name: "%", infix: true, types: arithmetic, eval: evalArithmetic, made: appendWide,
			vector: vectorArithmetic,
		},
		Neg:  {name: "-", prefix: true, types: oneNumber, eval: evalSign, made: appendWide, vector: vectorSign},
		Abs:  {name: "abs", types: oneNumber, eval: evalSign, made: appendWide, vector: vectorSign},
		Sign: {name: "sign", types: oneNumber, eval: evalSign, made: appendWide, vector: vectorSign},

		Eq: {name: "=", infix: true, types: comparison, eval: evalCompare, vector: vectorCompare},
		Ne: {name: "<>", infix: true, types: comparison, eval: evalCompare, vector: vectorCompare},
		Lt: {name: "<", infix: true, types: comparison, eval: evalCompare, vector: vectorCompare},
		Le: {name: "<=", infix: true, types: comparison, eval: evalCompare, vector: vectorCompare},
		Gt: {name: ">", infix: true, types: comparison, eval: evalCompare, vector: vectorCompare},
		Ge: {name: ">=", infix: true, types: comparison, eval: evalCompare, vector: vectorCompare},
		Distinct: {
			name: "IS DISTINCT FROM", infix: true, lenient: true, types: never(comparison), eval: evalDistinct,
			vector: vectorDistinct,
		},
		In: {name: "IN", lenient: true, types: inTypes, eval: evalIn, vector: vectorIn},

		And:    {name: "AND", infix: true, lenient: true, types: truth(2), vector: vectorLogic},
		Or:     {name: "OR", infix: true, lenient: true, types: truth(2), vector: vectorLogic},
		Not:    {name: "NOT", prefix: true, types: truth(1), eval: evalNot, vector: vectorNot},
		IsNull: {name: "IS NULL", postfix: true, lenient: true, types: never(anyType), eval: evalIs, vector: vectorIs},
		IsTrue: {
			name: "IS TRUE", postfix: true, lenient: true, types: never(truth(1)), eval: evalIs,
			vector: vectorIs,
		},
		IsFalse: {
			name: "IS FALSE", postfix: true, lenient: true, types: never(truth(1)), eval: evalIs,
			vector: vectorIs,
		},

		Coalesce: {name: "coalesce", lenient: true, types: choice},
		NullIf:   {name: "nullif", lenient: true, types: nullIfTypes, eval: evalNullIf, vector: vectorNullIf},
		Greatest: {name: "greatest", lenient: true, types: choice, eval: evalExtreme, vector: vectorExtreme},
		Least:    {name: "least", lenient: true, types: choice, eval: evalExtreme, vector: vectorExtreme},

		Lower: {
			name: "lower", types: signature(tx, false, tx), eval: evalMade, made: appendMade,
			vector: vectorLetters,
		},
		Upper: {
			name: "upper", types: signature(tx, false, tx), eval: evalMade, made: appendMade,
			vector: vectorLetters,
		},
		Length:    {name: "length", types: signature(i64, false, tx), eval: evalText, vector: vectorLength},
		Substring: {name: "substring", types: signature(tx, true, tx, i64, i64), eval: evalText, vector: vectorPiece},
		Join:      {name: "||", infix: true, types: signature(tx, false, tx, tx), eval: evalMade, made: appendMade},
		Concat:    {name: "concat", lenient: true, types: concatTypes, eval: evalMade, made: appendConcat},
		Trim:      {name: "trim", types: signature(tx, true, tx, tx), eval: evalText, vector: vectorPiece},
		TrimLeft:  {name: "ltrim", types: signature(tx, true, tx, tx), eval: evalText, vector: vectorPiece},
		TrimRight: {name: "rtrim", types: signature(tx, true, tx, tx), eval: evalText, vector: vectorPiece},
		SplitPart: {name: "split_part", types: signature(tx, false, tx, tx, i64), eval: evalText, vector: vectorPiece},
		Replace:   {name: "replace", types: signature(tx, false, tx, tx, tx), eval: evalMade, made: appendMade},
		Position:  {name: "position", types: signature(i64, false, tx, tx), eval: evalText, vector: vectorPosition},

		Round: {name: "round", types: roundTypes, eval: evalRound, made: appendWide, vector: vectorRound},
		Floor: {name: "floor", types: roundTypes, eval: evalRound, made: appendWide, vector: vectorRound},
		Ceil:  {name: "ceil", types: roundTypes, eval: evalRound, made: appendWide, vector: vectorRound},
		Trunc: {name: "trunc", types: roundTypes, eval: evalRound, made: appendWide, vector: vectorRound},
		Power: {name: "power", types: signature(f64, false, f64, f64), eval: evalFloat},
		Sqrt:  {name: "sqrt", types: signature(f64, false, f64), eval: evalFloat, vector: vectorFloat},
		Ln:    {name: "ln", types: signature(f64, false, f64), eval: evalFloat, vector: vectorFloat},
		Exp:   {name: "exp", types: signature(f64, false, f64), eval: evalFloat, vector: vectorFloat},

		opMath:      {name: "math", types: signature(f64, false, f64), eval: evalMath, vector: vectorMath},
		roundTo:     {name: "round", types: roundToTypes, eval: evalRoundTo, made: appendWide, vector: vectorRoundTo},
		Atan2:       {name: "atan2", types: signature(f64, false, f64, f64), eval: evalAtan2},
		Factorial:   {name: "factorial", types: signature(i64, false, i64), eval: evalInts},
		GCD:         {name: "gcd", types: signature(i64, false, i64, i64), eval: evalInts},
		LCM:         {name: "lcm", types: signature(i64, false, i64, i64), eval: evalInts},
		BitCount:    {name: "bit_count", types: signature(i64, false, i64), eval: evalInts},
		WidthBucket: {name: "width_bucket", types: signature(i64, false, f64, f64, f64, i64), eval: evalWidthBucket},
		BitAnd:      {name: "&", infix: true, types: twoInts, eval: evalBits, vector: vectorBits},
		BitOr:       {name: "|", infix: true, types: twoInts, eval: evalBits, vector: vectorBits},
		BitXor:      {name: "#", infix: true, types: twoInts, eval: evalBits, vector: vectorBits},
		ShiftLeft:   {name: "<<", infix: true, types: twoInts, eval: evalBits, vector: vectorBits},
		ShiftRight:  {name: ">>", infix: true, types: twoInts, eval: evalBits, vector: vectorBits},
		BitNot:      {name: "~", prefix: true, types: signature(i64, false, i64), eval: evalBits, vector: vectorBits},

		AddNanos: {
			name: "+", infix: true, types: signature(ts, false, ts, i64), eval: evalArithmetic,
			vector: vectorArithmetic,
		},
		SubTimes: {
			name: "-", infix: true, types: signature(i64, false, ts, ts), eval: evalArithmetic,
			vector: vectorArithmetic,
		},
		ToTimestamp: {name: "to_timestamp", types: signature(ts, false, f64), eval: evalToTimestamp},

		Left:        {name: "left", types: signature(tx, false, tx, i64), eval: evalPiece, vector: vectorPiece},
		Right:       {name: "right", types: signature(tx, false, tx, i64), eval: evalPiece, vector: vectorPiece},
		PadLeft:     {name: "lpad", types: signature(tx, true, tx, i64, tx), eval: evalMade, made: appendFunction},
		PadRight:    {name: "rpad", types: signature(tx, true, tx, i64, tx), eval: evalMade, made: appendFunction},
		Repeat:      {name: "repeat", types: signature(tx, false, tx, i64), eval: evalMade, made: appendFunction},
		Reverse:     {name: "reverse", types: signature(tx, false, tx), eval: evalMade, made: appendFunction},
		StartsWith:  {name: "starts_with", types: signature(bl, false, tx, tx), eval: evalPiece, vector: vectorEnd},
		ASCII:       {name: "ascii", types: signature(i64, false, tx), eval: evalPiece},
		Chr:         {name: "chr", types: signature(tx, false, i64), eval: evalMade, made: appendFunction},
		MD5:         {name: "md5", types: signature(tx, false, tx), eval: evalMade, made: appendFunction},
		OctetLength: {name: "octet_length", types: signature(i64, false, tx), eval: evalPiece, vector: vectorOctets},
		Log10:       {name: "log10", types: signature(f64, false, f64), eval: evalFloat, vector: vectorFloat},

		EndsWith:  {name: "ends_with", types: signature(bl, false, tx, tx), eval: evalEnds, vector: vectorEnd},
		ConcatWS:  {name: "concat_ws", lenient: true, types: concatWSTypes, eval: evalConcatWS},
		InitCap:   {name: "initcap", types: signature(tx, false, tx), eval: evalMade, made: appendChanged},
		Translate: {name: "translate", types: signature(tx, false, tx, tx, tx), eval: evalMade, made: appendChanged},
		ToHex:     {name: "to_hex", types: signature(tx, false, i64), eval: evalMade, made: appendChanged},
		Overlay:   {name: "overlay", types: signature(tx, true, tx, tx, i64, i64), eval: evalMade, made: appendChanged},
		opTry:     {name: "try", lenient: true, types: tryTypes, eval: evalTry, vector: vectorTry},

		RegexpMatch:   {name: "regexp_like", types: regexpTypes, eval: evalRegexp, vector: vectorRegexp},
		RegexpFind:    {name: "regexp_substr", types: regexpTypes, eval: evalRegexp},
		RegexpCount:   {name: "regexp_count", types: regexpTypes, eval: evalRegexp},
		RegexpPlace:   {name: "regexp_instr", types: regexpTypes, eval: evalRegexp},
		regexpReplace: {name: "regexp_replace", types: regexpTypes, eval: evalRegexp, made: appendReplaced},

		DateBin:   {name: "date_bin", types: dateBinTypes, eval: evalDateBin, vector: vectorBin},
		inZone:    {name: "in_zone", types: zoneTypes, eval: evalZone},
		fromZone:  {name: "from_zone", types: zoneTypes, eval: evalZone},
		truncZone: {name: "date_trunc", types: truncZoneTypes, eval: evalTruncZone},
		parseTime: {name: "to_timestamp", types: parseTimeTypes, eval: evalParseTime},
		toChar:    {name: "to_char", types: toCharTypes, eval: evalMade, made: appendToChar},
		toCharInterval: {
			name: "to_char", types: toCharIntervalTypes, eval: evalMade, made: appendToCharInterval,
		},
		toCharNumber: {name: "to_char", types: toCharNumberTypes, eval: evalMade, made: appendToCharNumber},
		addMonths:    {name: "add_months", types: zoneTypes, eval: evalAddMonths},
		AgeMonths:    {name: "age_months", types: ageTypes, eval: evalAge},
		AgeNanos:     {name: "age_nanos", types: ageTypes, eval: evalAge},
		AgeText:      {name: "age", types: ageTypes, eval: evalAge, made: appendAge},
		monthBin:     {name: "time_bucket", types: monthBinTypes, eval: evalMonthBin, vector: vectorMonthBin},
		MakeDate:     {name: "make_date", types: signature(ts, false, i64, i64, i64), eval: evalMakeTime},
		MakeTime: {
			name: "make_timestamp", types: signature(ts, false, i64, i64, i64, i64, i64, f64), eval: evalMakeTime,
		},

		opJSON:     {name: "json", types: jsonTypes, eval: evalJSON},
		JSONLength: {name: "json_array_length", types: signature(i64, false, tx), eval: evalOfJSON},
		JSONType:   {name: "json_typeof", types: signature(tx, false, tx), eval: evalOfJSON},
		JSONValid:  {name: "json_valid", types: signature(bl, false, tx), eval: evalOfJSON},
		JSONText:   {name: "json", types: signature(tx, false, tx), eval: evalOfJSON},
		JSONScalar: {name: "json_scalar", types: jsonTypes, eval: evalOfJSON},

		opLookup:       {name: "lookup", types: lookupTypes, eval: evalLookup, vector: vectorLookup},
		opLookupColumn: {name: "column", types: lookupColumnTypes, eval: evalLookupColumn, vector: vectorLookupColumn},

		opUser:      {name: "call", types: userTypes, eval: evalUser, vector: vectorUser},
		opUserNulls: {name: "call", lenient: true, types: userTypes, eval: evalUser, vector: vectorUser},

		opEncode: {name: "encode", types: codingTypes, eval: evalMade, made: appendCoded},
		opDecode: {name: "decode", types: codingTypes, eval: evalMade, made: appendCoded},
		opSHA:    {name: "sha", types: shaTypes, eval: evalMade, made: appendCoded},
		SubBytes: {
			name: "substring", types: signature(record.Bytes, true, record.Bytes, i64, i64), eval: evalSubBytes,
		},

		PositionBytes: {
			name: "position", types: signature(i64, false, record.Bytes, record.Bytes), eval: evalPositionBytes,
		},
		TrimBytes:      {name: "trim", types: trimBytesTypes, eval: evalTrimBytes, vector: vectorPiece},
		TrimBytesLeft:  {name: "ltrim", types: trimBytesTypes, eval: evalTrimBytes, vector: vectorPiece},
		TrimBytesRight: {name: "rtrim", types: trimBytesTypes, eval: evalTrimBytes, vector: vectorPiece},

		opRetype: {name: "retype", types: retypeTypes, eval: evalSame, vector: vectorSame},
		DivNanos: {name: "/", infix: true, types: twoInts, eval: evalDivNanos},
		AddClock: {
			name: "+", infix: true, types: signature(record.TimeOfDay, false, record.TimeOfDay, i64),
			eval: evalAddClock, vector: vectorAddClock,
		},
		MakeClock: {
			name: "make_time", types: signature(record.TimeOfDay, false, i64, i64, f64), eval: evalMakeClock,
		},

		opRequire: {
			name: "require", lenient: true, types: never(requireTypes), eval: evalRequire,
			vector: vectorRequire,
		},
		opChecked: {name: "check", types: signature(tx, false, tx), eval: evalChecked, vector: vectorPiece},
	}
}

// never changes a type rule into the rule of an operation whose result is never NULL.
func never(types func(*Expr) error) func(*Expr) error {
	return func(e *Expr) error {
		err := types(e)
		e.nullable = false
		return err
	}
}

func anyType(e *Expr) error {
	e.typ = record.Bool
	return e.same(1)
}

func requireTypes(e *Expr) error {
	if len(e.args) != 1 {
		return e.fault()
	}
	e.typ = e.args[0].typ
	return nil
}

func divide(e *Expr) error {
	switch {
	case len(e.args) != 2 || !isAnyDecimal(e.args[0].typ):
		return arithmetic(e)
	case !e.args[0].typ.IsWide() || !e.args[1].typ.IsWide():
		return e.fault()
	}
	scale := max(record.QuotientPlaces, e.args[0].typ.Scale(), e.args[1].typ.Scale())
	if p, ok := e.aux.(places); ok {
		scale = p.digits
	}
	e.typ = record.DecimalOf(record.MaxDigits, scale)
	return nil
}

func inTypes(e *Expr) error {
	e.typ = record.Bool
	if s, ok := e.aux.(*set); ok && s.many {
		e.nullable = e.nullable || s.null
		return nil
	}
	if len(e.args) < 2 {
		return errors.New("expr: IN of nothing")
	}
	if err := e.sameType(e.args); err != nil {
		return err
	}
	s := &set{}
	for _, a := range e.args[1:] {
		v, ok := a.Const()
		switch {
		case !ok:
			return fmt.Errorf("expr: IN of %v, expected constants", a)
		case v.Null:
			s.null = true
		default:
			s.add(a.typ, v)
		}
	}
	e.aux = s
	return nil
}

func nullIfTypes(e *Expr) error {
	if err := e.same(2); err != nil {
		return err
	}
	e.typ, e.nullable = e.args[0].typ, true
	return nil
}

func concatTypes(e *Expr) error {
	for _, a := range e.args {
		if a.typ != record.String {
			return e.fault()
		}
	}
	e.typ, e.nullable = record.String, false
	return nil
}

func roundTypes(e *Expr) error {
	if len(e.args) != 1 {
		return e.fault()
	}
	switch t := e.args[0].typ; {
	case t == record.Int64, t == record.Float64:
		e.typ = t
	case isAnyDecimal(t):
		e.typ = decimalLike(t, t.Precision()-t.Scale()+1, 0)
	default:
		return e.fault()
	}
	return nil
}
