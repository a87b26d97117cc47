package record

// A Comparison compares a column with a constant.
type Comparison uint8

// The comparisons.
const (
	Equal Comparison = iota + 1
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
)

// A Bound is a comparison that must be true of a record, or else nobody wants it. NULL meets none.
// The order of doubles is PostgreSQL's: NaN equals itself and is greater than all others.
type Bound struct {
	Column int
	Is     Comparison
	Bits   uint64 // the constant: a word of the column's type; 0 for text
	Text   string // the constant of a column of type text; texts are ordered by their bytes
}

// A Skipper is a Reader that can leave out records that do not meet bounds. Skip is called once,
// before the first Read or Poll, if all plans that will ever read from the reader want only the
// records that meet every bound; Plan.Bounds of package plan has them. The reader need not leave
// out any. A record that it leaves out is not counted as read, is not set aside if it cannot be
// read, and does not move the watermark.
type Skipper interface {
	Reader
	Skip(unless []Bound)
	// Skipped is how many records the reader has left out. Any goroutine may call it.
	Skipped() uint64
}
