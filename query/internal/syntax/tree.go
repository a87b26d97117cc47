package syntax

// Pos is a place in a text: the byte offset from its beginning. The place of a node is where an error about it points to: the first byte of its text, and
// the operator's of one that has operands on both sides or behind it (a + b, a IS NULL, a::int).
type Pos int

// In is the line and the column of a place, both from 1; columns count characters.
func (p Pos) In(text string) (line, column int) {
	from, line := lineOf(text, p)
	for range text[from:clamp(text, p)] {
		column++
	}
	return line, column + 1
}

// Node is a piece of a tree. Two trees say the same where their strings are equal; reflect.DeepEqual compares places too.
type Node interface {
	// Start is the field Pos.
	Start() Pos
	// String is the canonical text: it parses to a tree that is equal but for the places, and has parentheses only where precedence asks for them.
	String() string

	print(p *printer)
}

// Statement is one of *Select, *CreateSource, *CreateSink, *InsertInto, *Explain.
type Statement interface {
	Node
	statement()
}

// Expr is one of *Ident, *Literal, *Unary, *Binary, *IsNull, *IsTruth, *IsDistinct, *In, *Between, *Like, *Case, *Cast, *Call.
type Expr interface {
	Node
	level() level
}

// Select is a query: SELECT ... FROM ... and what follows.
type Select struct {
	Pos      Pos
	Distinct bool
	Items    []Item // at least one
	From     Table
	Where    Expr // nil: none, as in all that follow
	GroupBy  []Expr
	Having   Expr
	OrderBy  []Order
	Limit    *Count // nil also for LIMIT ALL
	Offset   *Count
	Emit     Emit
}

// Item is one of a SELECT's: an expression, * or t.*.
type Item struct {
	Pos   Pos
	Expr  Expr   // nil for a star
	Alias string // "" where none was given
	Star  bool
	Table string // t of t.*
}

// Order is one of an ORDER BY's.
type Order struct {
	Pos   Pos
	Expr  Expr
	Desc  bool
	Nulls Nulls
}

// Nulls says where an ORDER BY puts NULL.
type Nulls uint8

// Where NULL goes; the default is PostgreSQL's: last, and first where the order is descending.
const (
	NullsDefault Nulls = iota
	NullsFirst
	NullsLast
)

// Count is the number of a LIMIT or OFFSET.
type Count struct {
	Pos Pos
	N   int64 // 0 or more
}

// Emit says when a continuous query gives its rows away.
type Emit uint8

// EmitChanges is EMIT CHANGES, a row for each group that changed; EmitFinal is EMIT FINAL and EMIT ON WINDOW CLOSE, each window once.
const (
	EmitDefault Emit = iota
	EmitChanges
	EmitFinal
)

// Table is what a query reads: a source by its name, a file by its path, or a window over one.
type Table struct {
	Pos    Pos
	Name   string // of the source; a path such as trades.csv or data/*.parquet where it was quoted, "so" or 'so'
	Alias  string
	Window *Window // nil: the table as it is
}

// Window is a window as a table function: TUMBLE(t, at, size), and the same in Flink's words, TABLE(TUMBLE(TABLE t, DESCRIPTOR(at), size)). The window
// functions of a GROUP BY are a Call.
type Window struct {
	Pos         Pos
	Kind        WindowKind
	At          Expr     // the event time
	PartitionBy []*Ident // Flink's SESSION(TABLE t PARTITION BY ..., ...)
	Slide       Expr     // hop: from one window to the next; cumulate: the step
	Size        Expr     // of tumble, hop and cumulate: the (greatest) length
	Gap         Expr     // session
	Offset      Expr     // of tumble, hop and cumulate, or the name of a time zone; nil: none
}

// WindowKind is the name of a window function.
type WindowKind string

// The windows.
const (
	Tumble   WindowKind = "tumble"
	Hop      WindowKind = "hop"
	Cumulate WindowKind = "cumulate"
	Session  WindowKind = "session"
)

// CreateSource is CREATE SOURCE, and CREATE TABLE, which says the same.
type CreateSource struct {
	Pos         Pos
	Name        string
	IfNotExists bool
	Columns     []ColumnDef
	Watermark   *Watermark // nil: none
	Options     []Option   // of WITH (...); RisingWave's FORMAT f ENCODE e (...) behind it becomes options "format", "encode" and those in its parentheses
}

// ColumnDef is a column of a source.
type ColumnDef struct {
	Pos     Pos
	Name    string
	Type    TypeName
	NotNull bool
}

// Watermark is WATERMARK FOR column AS expression.
type Watermark struct {
	Pos    Pos
	Column *Ident
	Expr   Expr
}

// Option is one of WITH (key = value, ...). A key may have dots: properties.bootstrap.server, 'scan.startup.mode'.
type Option struct {
	Pos   Pos
	Key   string
	Value *Literal // a string, a number, TRUE or FALSE; a minus before a number is in its text
}

// CreateSink is CREATE SINK name FROM x, or AS SELECT ..., or neither: then INSERT INTO says what goes there.
type CreateSink struct {
	Pos         Pos
	Name        string
	IfNotExists bool
	From        string  // "" where there is a query, or nothing
	As          *Select // nil where there is a name, or nothing
	Options     []Option
}

// InsertInto is INSERT INTO sink SELECT ....
type InsertInto struct {
	Pos    Pos
	Sink   string
	Select *Select
}

// Explain is EXPLAIN statement.
type Explain struct {
	Pos       Pos
	Statement Statement // no Explain
}

// Ident is a column: name, or table.name, or a field within a column, whose name has dots: table.a.b, or a.b.c with a for the Table. Names that were not quoted are in lower case.
type Ident struct {
	Pos   Pos
	Table string // "" where none was given
	Name  string
}

// Kind is the kind of a literal.
type Kind uint8

// The kinds of literals, and what their Text is.
const (
	Null        Kind = iota + 1 // ""
	Bool                        // true or false
	Integer                     // digits
	Decimal                     // digits with a point or an exponent, as written
	String                      // what is between the quotes, escapes resolved
	Interval                    // the same of INTERVAL '...', with the Unit behind it; see Literal.Interval
	Timestamp                   // the same of TIMESTAMP '...'
	TimestampTZ                 // the same of TIMESTAMP WITH TIME ZONE '...' and TIMESTAMPTZ '...'
	Date                        // the same of DATE '...'
)

// Literal is a value in the text. Numbers have no sign: -1 is a Unary.
type Literal struct {
	Pos  Pos
	Kind Kind
	Text string
	Unit string // of an Interval: "", or second, minute, ..., day to second: in lower case and singular
}

// Unary is -x, +x or NOT x.
type Unary struct {
	Pos Pos
	Op  string // "-", "+", "NOT"
	X   Expr
}

// Binary is x op y.
type Binary struct {
	Pos  Pos
	Op   string // "OR", "AND", "=", "<>" (also for !=), "<", "<=", ">", ">=", "||", "~", "~*", "!~", "!~*", "->", "->>", "+", "-", "*", "/", "%", "^"
	X, Y Expr
}

// IsNull is x IS [NOT] NULL.
type IsNull struct {
	Pos Pos
	X   Expr
	Not bool
}

// Truth is what IsTruth asks for.
type Truth string

// The truths.
const (
	True    Truth = "TRUE"
	False   Truth = "FALSE"
	Unknown Truth = "UNKNOWN"
)

// IsTruth is x IS [NOT] TRUE, FALSE or UNKNOWN.
type IsTruth struct {
	Pos   Pos
	X     Expr
	Truth Truth
	Not   bool
}

// IsDistinct is x IS [NOT] DISTINCT FROM y.
type IsDistinct struct {
	Pos  Pos
	X, Y Expr
	Not  bool
}

// In is x [NOT] IN (list).
type In struct {
	Pos  Pos
	X    Expr
	List []Expr // at least one
	Not  bool
}

// Between is x [NOT] BETWEEN low AND high.
type Between struct {
	Pos          Pos
	X, Low, High Expr
	Not          bool
}

// Like is x [NOT] LIKE pattern [ESCAPE escape], or ILIKE.
type Like struct {
	Pos        Pos
	X, Pattern Expr
	Escape     Expr // nil: none was given
	ILike      bool
	Not        bool
}

// Case is CASE [operand] WHEN ... THEN ... [ELSE ...] END.
type Case struct {
	Pos     Pos
	Operand Expr   // nil: each WHEN is a condition
	Whens   []When // at least one
	Else    Expr   // nil: none
}

// When is a branch of a Case.
type When struct {
	Pos  Pos
	When Expr
	Then Expr
}

// Cast is CAST(x AS type), and x::type.
type Cast struct {
	Pos  Pos
	X    Expr
	Type TypeName
}

// TypeName is the name of a type: in lower case, with single spaces. Names of several words become those PostgreSQL has for them in one: timestamp
// with time zone is timestamptz, timestamp without time zone is timestamp, character varying is varchar. double precision stays.
type TypeName struct {
	Pos  Pos
	Name string
	Args []int64 // of decimal(12, 2), varchar(10), timestamp(3)
}

// Call is a call of a function. The forms with words between their arguments become plain ones:
//
//	extract(hour FROM x)        extract with the arguments 'hour', x
//	substring(s FROM a FOR b)   substring with s, a, b; without FROM a is 1
//	position(a IN b)            position with a, b
//	x AT TIME ZONE 'z'          timezone with 'z', x
//	trim(BOTH c FROM s)         trim with s, c; ltrim for LEADING, rtrim for TRAILING; without c one argument
type Call struct {
	Pos         Pos
	Name        string
	Distinct    bool
	Star        bool // f(*)
	Args        []Expr
	OrderBy     []Order // f(x ORDER BY y)
	WithinGroup []Order // f(0.9) WITHIN GROUP (ORDER BY y)
	Filter      Expr    // f(x) FILTER (WHERE ...)
}
