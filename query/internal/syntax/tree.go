package syntax

// Pos is a place in a text: the byte offset from its beginning. The place of a node is where an
// error about it points to. That is the first byte of its text, or the operator if the node has
// operands on both sides or before it (a + b, a IS NULL, a::int).
type Pos int

// In is the line and the column of a place. Both count from 1; columns count characters.
func (p Pos) In(text string) (line, column int) {
	from, line := lineOf(text, p)
	for range text[from:clamp(text, p)] {
		column++
	}
	return line, column + 1
}

// Node is a part of a tree. Two trees mean the same if their strings are equal; reflect.DeepEqual
// also compares places.
type Node interface {
	// Start is the field Pos.
	Start() Pos
	// String is the canonical text. It parses to a tree that is equal except for the places, and
	// has parentheses only if precedence requires them.
	String() string

	print(p *printer)
}

// Statement is one of *Select, *CreateSource, *CreateSink, *CreateView, *InsertInto,
// *Explain.
type Statement interface {
	Node
	statement()
}

// Expr is one of *Ident, *Literal, *Unary, *Binary, *IsNull, *IsTruth, *IsDistinct, *In, *Between,
// *Like, *Case, *Cast, *Call, *Subquery; in GROUP BY also *Grouping.
type Expr interface {
	Node
	level() level
}

// Select is a query: SELECT ... FROM ... and what follows.
type Select struct {
	Pos Pos
	// Set is what the query combines; nil if it is one SELECT. Otherwise there are only OrderBy,
	// Limit, Offset and Emit besides it, of the whole.
	Set      *SetOperation
	Distinct bool
	// DistinctOn are the expressions of DISTINCT ON: the first row of each of their values is kept.
	DistinctOn []Expr
	Items      []Item // at least one
	From       Table
	Where      Expr // nil if there is none, as in all that follow
	GroupBy    []Expr
	// GroupAll is GROUP BY ALL: by all items that have no aggregate.
	GroupAll bool
	Having   Expr
	// Copies is how often each row is in the result; nil if it is there once. No text says it.
	Copies Expr
	// Windows are the names that WINDOW gives to what is in OVER.
	Windows []NamedWindow
	// Qualify chooses rows by what functions with OVER have computed.
	Qualify Expr
	OrderBy []Order
	Limit   *Count // nil also for LIMIT ALL
	Offset  *Count
	Emit    Emit
}

// SetOperation is UNION, INTERSECT or EXCEPT of two queries.
type SetOperation struct {
	Pos Pos
	// Op is "UNION", "INTERSECT" or "EXCEPT".
	Op          string
	All         bool
	Left, Right *Select
}

// Item is one item of a SELECT: an expression, * or t.*.
type Item struct {
	Pos   Pos
	Expr  Expr   // nil for a star
	Alias string // "" if none was given
	Star  bool
	Table string // the t of t.*
	// Exclude are the columns that a star leaves out: * EXCLUDE (a, b).
	Exclude []*Ident
}

// Order is one item of an ORDER BY. Its Expr is nil for ALL, which is every column of the result.
type Order struct {
	Pos   Pos
	Expr  Expr
	Desc  bool
	Nulls Nulls
}

// Nulls says where an ORDER BY puts NULL.
type Nulls uint8

// The places of NULL. The default is PostgreSQL's: last, or first if the order is descending.
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

// Emit says when a continuous query emits its rows.
type Emit uint8

// EmitChanges is EMIT CHANGES: a row for each group that changed. EmitFinal is EMIT FINAL and EMIT
// ON WINDOW CLOSE: each window once.
const (
	EmitDefault Emit = iota
	EmitChanges
	EmitFinal
)

// Table is what a query reads: a source by its name, a file by its path, or a window over one of
// them. There is neither a Name nor a Query if the query has no FROM.
type Table struct {
	Pos Pos
	// Name is the name of the source, or, if it was quoted ("so" or 'so'), a path such as
	// trades.csv or data/*.parquet.
	Name  string
	Alias string
	// Window is nil if the table is read as it is.
	Window *Window
	// Query is a SELECT whose result is read. There is no Name and no Window then.
	Query *Select
	// Rows are the rows of VALUES, which are read; all have equally many values. There is nothing
	// of the others then.
	Rows [][]Expr
	// Columns are the names that follow the alias in parentheses, of Rows.
	Columns []string
	// Joins are the tables that are looked up, in the order of the text.
	Joins []Join
}

// Join is [LEFT] JOIN table [AS alias] ON condition, or USING (columns).
type Join struct {
	Pos   Pos
	Left  bool
	Name  string
	Alias string
	// On is nil if Using has columns.
	On    Expr
	Using []*Ident
}

// Window is a window as a table function: TUMBLE(t, at, size), or the same in Flink's words,
// TABLE(TUMBLE(TABLE t, DESCRIPTOR(at), size)). A window function in a GROUP BY is a Call.
type Window struct {
	Pos  Pos
	Kind WindowKind
	// At is the event time.
	At Expr
	// PartitionBy is from Flink's SESSION(TABLE t PARTITION BY ..., ...).
	PartitionBy []*Ident
	// Slide is, for hop, the distance from one window to the next, and for cumulate the step.
	Slide Expr
	// Size is the length for tumble and hop, and the greatest length for cumulate.
	Size Expr
	// Gap is for session.
	Gap Expr
	// Offset is for tumble, hop and cumulate. It may be the name of a time zone; nil if there is
	// none.
	Offset Expr
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

// CreateSource is CREATE SOURCE, or CREATE TABLE. A table without a key means the same; one with a
// key is looked up.
type CreateSource struct {
	Pos         Pos
	Name        string
	IfNotExists bool
	Columns     []ColumnDef
	// Key are the columns of PRIMARY KEY.
	Key []*Ident
	// Watermark is nil if there is none.
	Watermark *Watermark
	// Options are from WITH (...). If RisingWave's FORMAT f ENCODE e (...) follows, it becomes the
	// options "format" and "encode" and those in its parentheses.
	Options []Option
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

// Option is one option of WITH (key = value, ...). A key may have dots:
// properties.bootstrap.server, 'scan.startup.mode'.
type Option struct {
	Pos   Pos
	Key   string
	Value *Literal // a string, a number, TRUE or FALSE; its text includes a minus
	// Env says that the value is in the environment variable that Value names: env('NAME').
	Env bool
}

// CreateSink is CREATE SINK name, followed by FROM x, by AS SELECT ..., or by neither. If it has
// neither, an INSERT INTO says what goes there.
type CreateSink struct {
	Pos         Pos
	Name        string
	IfNotExists bool
	From        string  // "" if there is a query, or nothing
	As          *Select // nil if there is a name, or nothing
	Options     []Option
}

// CreateView is CREATE [MATERIALIZED] VIEW name [WITH (...)] AS SELECT .... A view that is not
// materialized is a name for its query.
type CreateView struct {
	Pos          Pos
	Name         string
	Materialized bool
	IfNotExists  bool
	Options      []Option
	As           *Select
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
	Statement Statement // not an *Explain
}

// Ident is a column: name, or table.name, or a field within a column. The name of such a field has
// dots: table.a.b, or a.b.c with a as the Table. Names that were not quoted are in lower case.
type Ident struct {
	Pos   Pos
	Table string // "" if none was given
	Name  string
}

// Kind is the kind of a literal.
type Kind uint8

// The kinds of literals, and what their Text is.
const (
	Null    Kind = iota + 1 // ""
	Bool                    // true or false
	Integer                 // digits
	Decimal                 // digits with a point or an exponent, as written
	String                  // what is between the quotes, with escapes resolved
	// the text of INTERVAL '...'; the Unit follows it; see Literal.Unit
	Interval
	Timestamp   // the text of TIMESTAMP '...'
	TimestampTZ // the text of TIMESTAMP WITH TIME ZONE '...' and TIMESTAMPTZ '...'
	Date        // the text of DATE '...'
)

// Literal is a constant in the text. Numbers have no sign: -1 is a Unary.
type Literal struct {
	Pos  Pos
	Kind Kind
	Text string
	// Unit is the unit of an Interval: "", second, minute, ..., or day to second, in lower case and
	// singular.
	Unit string
}

// Unary is -x, +x, ~x or NOT x.
type Unary struct {
	Pos Pos
	Op  string // "-", "+", "~", "NOT"
	X   Expr
}

// Binary is x op y.
type Binary struct {
	Pos Pos
	// Op is one of "OR", "AND", "=", "<>" (also for !=), "<", "<=", ">", ">=", "||", "~", "~*",
	// "!~", "!~*", "->", "->>", "&", "|", "#", "<<", ">>", "+", "-", "*", "/", "%", "^".
	Op   string
	X, Y Expr
}

// IsNull is x IS [NOT] NULL.
type IsNull struct {
	Pos Pos
	X   Expr
	Not bool
}

// Truth is what IsTruth tests for.
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

// In is x [NOT] IN (list), or x [NOT] IN (SELECT ...), or (a, b) [NOT] IN (SELECT ...).
type In struct {
	Pos  Pos
	X    Expr   // nil if there is a Row
	List []Expr // at least one, unless there is a Query
	Not  bool
	// Query has the values.
	Query *Select
	// Op is the operator of x op ANY (SELECT ...), or of ALL if All is set; it is empty for IN, and
	// for = ANY and <> ALL, which are IN and NOT IN.
	Op  string
	All bool
	// Row are the values of a row that is looked for in a Query.
	Row []Expr
}

// Between is x [NOT] BETWEEN [SYMMETRIC] low AND high.
type Between struct {
	Pos          Pos
	X, Low, High Expr
	Not          bool
	Symmetric    bool // the bounds may be in either order
}

// Like is x [NOT] LIKE pattern [ESCAPE escape], or ILIKE, or SIMILAR TO, or GLOB, which has no
// escape.
type Like struct {
	Pos        Pos
	X, Pattern Expr
	Escape     Expr // nil if none was given
	ILike      bool
	Similar    bool
	Glob       bool
	Not        bool
}

// Case is CASE [operand] WHEN ... THEN ... [ELSE ...] END.
type Case struct {
	Pos     Pos
	Operand Expr   // nil if each WHEN is a condition
	Whens   []When // at least one
	Else    Expr   // nil if there is none
}

// When is a branch of a Case.
type When struct {
	Pos  Pos
	When Expr
	Then Expr
}

// Cast is CAST(x AS type), or x::type, or TRY_CAST(x AS type), which is NULL if that fails.
type Cast struct {
	Pos  Pos
	X    Expr
	Type TypeName
	Try  bool
}

// TypeName is the name of a type, in lower case and with single spaces. A name of several words
// becomes PostgreSQL's one-word name: timestamp with time zone is timestamptz, timestamp without
// time zone is timestamp, character varying is varchar. double precision stays as it is.
type TypeName struct {
	Pos  Pos
	Name string
	Args []int64 // as in decimal(12, 2), varchar(10), timestamp(3)
}

// Call is a call of a function. Forms with words between their arguments become plain calls:
//
//	extract(hour FROM x)        extract with the arguments 'hour', x
//	substring(s FROM a FOR b)   substring with s, a, b; without FROM a is 1
//	position(a IN b)            position with a, b
//	x AT TIME ZONE 'z'          timezone with 'z', x
//	trim(BOTH c FROM s)         trim with s, c; ltrim for LEADING, rtrim for TRAILING;
//	                            without c one argument
type Call struct {
	Pos         Pos
	Name        string
	Distinct    bool
	Star        bool // f(*)
	Args        []Expr
	OrderBy     []Order // f(x ORDER BY y)
	WithinGroup []Order // f(0.9) WITHIN GROUP (ORDER BY y)
	Filter      Expr    // f(x) FILTER (WHERE ...)
	Over        *Over   // f(x) OVER (...); nil if there is none
}

// Over is what follows OVER: the name of a window, or its definition.
type Over struct {
	Pos         Pos
	Name        string // of a window of WINDOW; "" if there is none
	PartitionBy []Expr
	OrderBy     []Order
	Frame       *Frame // nil for the default
}

// NamedWindow is one item of WINDOW: name AS (...).
type NamedWindow struct {
	Pos  Pos
	Name string
	Over Over
}

// Frame is ROWS, RANGE or GROUPS BETWEEN begin AND end.
type Frame struct {
	Pos        Pos
	Unit       string // "ROWS", "RANGE" or "GROUPS"
	Begin, End Bound
	Exclude    Exclusion
}

// Exclusion says which rows EXCLUDE takes out of a frame.
type Exclusion uint8

// The exclusions: none, the row itself, the row and the rows that tie with it, and only those that
// tie with it.
const (
	ExcludeNoOthers Exclusion = iota
	ExcludeCurrentRow
	ExcludeGroup
	ExcludeTies
)

// BoundKind says what a bound of a frame counts from.
type BoundKind uint8

// The bounds. Of Preceding and Following N says how many.
const (
	UnboundedPreceding BoundKind = iota
	Preceding
	CurrentRow
	Following
	UnboundedFollowing
)

// Bound is a bound of a frame.
type Bound struct {
	Kind BoundKind
	N    Expr // nil for other kinds than Preceding and Following
}

// Grouping is what GROUP BY may have beside expressions. Its Kind is "GROUPING SETS", "ROLLUP",
// "CUBE", or "" for a list of expressions in parentheses within one of them.
type Grouping struct {
	Pos   Pos
	Kind  string
	Items []Expr
}
