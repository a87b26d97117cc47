package plan

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// OverFunc is a function over rows of a result.
type OverFunc = layout.OverFunc

// The functions over rows, as in SQL.
const (
	OverAggregate = layout.OverAggregate // Over.Aggregate of the rows of the frame
	RowNumber     = layout.RowNumber
	Rank          = layout.Rank
	DenseRank     = layout.DenseRank
	PercentRank   = layout.PercentRank
	CumeDist      = layout.CumeDist
	Ntile         = layout.Ntile // buckets
	Lag           = layout.Lag   // value, and optionally how many rows before, and a value if there is none
	Lead          = layout.Lead
	FirstValue    = layout.FirstValue
	LastValue     = layout.LastValue
	NthValue      = layout.NthValue  // value, number
	OverTexts     = layout.OverTexts // string_agg: text, with Over.Separator
)

// FrameUnit says what the bounds of a frame count.
type FrameUnit = layout.FrameUnit

// The units of frames.
const (
	FrameRange  = layout.FrameRange
	FrameRows   = layout.FrameRows
	FrameGroups = layout.FrameGroups
)

// FrameBound is a bound of a frame.
type FrameBound = layout.FrameBound

// FrameExclusion says which rows of a frame are left out of it.
type FrameExclusion = layout.FrameExclusion

// What EXCLUDE leaves out.
const (
	ExcludeNoOthers   = layout.ExcludeNoOthers
	ExcludeCurrentRow = layout.ExcludeCurrentRow
	ExcludeGroup      = layout.ExcludeGroup
	ExcludeTies       = layout.ExcludeTies
)

// An Over is a column that is computed over the rows of a result: f(args) OVER (PARTITION BY ...
// ORDER BY ... frame). Its expressions are over the columns before it.
type Over struct {
	Name        string
	Func        OverFunc
	Aggregate   AggregateKind // for OverAggregate
	Args        []*Expr
	PartitionBy []*Expr
	OrderBy     []Order // expressions
	Unit        FrameUnit
	Begin, End  FrameBound
	Exclude     FrameExclusion
	Separator   string // for OverTexts
}

// text is the column as SQL would say it.
func (o *Over) text() string {
	name := []string{
		"", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value",
		"last_value", "nth_value", "string_agg",
	}[o.Func]
	if o.Func == OverAggregate {
		name = o.Aggregate.String()
	}
	text := name + "("
	for i, a := range o.Args {
		text += []string{"", ", "}[min(i, 1)] + a.String()
	}
	if o.Func == OverTexts {
		text += ", '" + strings.ReplaceAll(o.Separator, "'", "''") + "'"
	}
	text += ") OVER ("
	sep := "PARTITION BY "
	for _, e := range o.PartitionBy {
		text += sep + e.String()
		sep = ", "
	}
	sep = "ORDER BY "
	if len(o.PartitionBy) > 0 {
		sep = " ORDER BY "
	}
	for _, by := range o.OrderBy {
		text += sep + by.text()
		sep = ", "
	}
	if frame := o.frameText(); frame != "" {
		if !strings.HasSuffix(text, "(") {
			text += " "
		}
		text += frame
	}
	return text + ")"
}

// frameText is the frame as SQL would say it, or "" for the frame that there is if none is given.
func (o *Over) frameText() string {
	usual := o.Unit == FrameRange && o.Begin.Unbounded && o.End.By == 0 && o.End.ByFloat == 0
	if usual && o.Exclude == ExcludeNoOthers && o.End.Unbounded == (len(o.OrderBy) == 0) {
		return ""
	}
	bound := func(b FrameBound, side string) string {
		by := o.distanceText(b)
		switch {
		case b.Unbounded:
			return "UNBOUNDED " + side
		case b.By < 0 || b.ByFloat < 0:
			return by + " PRECEDING"
		case b.By > 0 || b.ByFloat > 0:
			return by + " FOLLOWING"
		}
		return "CURRENT ROW"
	}
	return []string{"RANGE", "ROWS", "GROUPS"}[o.Unit] + " BETWEEN " + bound(o.Begin, "PRECEDING") + " AND " +
		bound(o.End, "FOLLOWING") + []string{"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"}[o.Exclude]
}

// distanceText is how far a bound is from the row, without its direction.
func (o *Over) distanceText(b FrameBound) string {
	n := max(b.By, -b.By)
	if o.Unit == FrameRange && len(o.OrderBy) == 1 && o.OrderBy[0].Expr != nil {
		switch t := o.OrderBy[0].Expr.Type(); {
		case t == record.Float64:
			return fmt.Sprint(max(b.ByFloat, -b.ByFloat))
		case t == record.Timestamp:
			return "INTERVAL '" + time.Duration(n).String() + "'"
		case t.IsDecimal():
			return record.Decimal{Unscaled: n, Scale: uint8(t.Scale())}.String()
		}
	}
	return fmt.Sprint(n)
}

// compileOver makes the columns over rows of a schema, and the schema with them.
func (p *Plan) compileOver(rows *record.Schema) (all []layout.Over, ranged *record.Schema, err error) {
	var fields []record.Field
	for i := range rows.Len() {
		fields = append(fields, rows.Field(i))
	}
	var faults []error
	for i := range p.Over {
		o := &p.Over[i]
		x, err := o.compile(rows)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", o.Name, err))
			continue
		}
		all = append(all, x)
		fields = append(fields, record.Field{Name: o.Name, Type: x.Type, Nullable: true})
	}
	if len(faults) > 0 {
		return nil, nil, errors.Join(faults...)
	}
	ranged, err = record.NewSchema(rows.Name(), fields...)
	return all, ranged, err
}

// compile checks one column.
func (o *Over) compile(rows *record.Schema) (x layout.Over, err error) {
	x = layout.Over{
		Name: o.Name, Func: o.Func, Args: o.Args, Partition: o.PartitionBy, Unit: o.Unit, Begin: o.Begin, End: o.End,
		Exclude: o.Exclude, Separator: o.Separator, Type: record.Int64,
	}
	var outputs []expr.Output
	add := func(e *expr.Expr) {
		outputs = append(outputs, expr.Output{Name: fmt.Sprintf("c%d", len(outputs)), Expr: e})
	}
	for _, e := range append(append([]*expr.Expr{}, o.Args...), o.PartitionBy...) {
		add(e)
	}
	for _, by := range o.OrderBy {
		if by.Expr == nil {
			return x, errors.New("OVER is ordered by expressions")
		}
		add(by.Expr)
		x.Order = append(x.Order, layout.OrderBy{
			Projected: layout.Projected{Inner: -1, Expr: by.Expr}, Typ: by.Expr.Type(), Desc: by.Desc,
			NullsFirst: by.NullsFirst,
		})
	}
	if len(outputs) > 0 {
		if _, err := expr.Compile(rows, nil, outputs); err != nil {
			return x, err
		}
	}
	least, most := o.arguments()
	if n := len(o.Args); n < least || n > most {
		return x, fmt.Errorf("%d arguments, expected %d to %d", n, least, most)
	}
	if x.Unit == FrameRange && (x.Begin.By != 0 || x.End.By != 0 || x.Begin.ByFloat != 0 || x.End.ByFloat != 0) &&
		len(x.Order) != 1 {
		return x, errors.New("a frame of RANGE with a distance needs one expression in ORDER BY")
	}
	switch o.Func {
	case OverTexts:
		x.Type = record.String
		if t := o.Args[0].Type(); t != record.String {
			return x, fmt.Errorf("string_agg of %v, expected text", t)
		}
	case PercentRank, CumeDist:
		x.Type = record.Float64
	case Lag, Lead, FirstValue, LastValue, NthValue:
		x.Type = o.Args[0].Type()
	case OverAggregate:
		var args []agg.Arg
		for _, a := range o.Args {
			args = append(args, agg.Arg{Type: a.Type(), Nullable: true})
		}
		if o.Aggregate.Collects() || o.Aggregate.State() == MinBy || o.Aggregate.State() == MaxBy {
			return x, fmt.Errorf("%v cannot be OVER rows", o.Aggregate)
		}
		x.Aggregate, err = agg.Bind(o.Aggregate, args...)
		if err != nil {
			return x, err
		}
		x.Type = x.Aggregate.Type()
	}
	return x, nil
}

// arguments is how many arguments a function has.
func (o *Over) arguments() (least, most int) {
	switch o.Func {
	case OverAggregate:
		if o.Aggregate == Count {
			return 0, 1
		}
		if o.Aggregate.OfPairs() {
			return 2, 2
		}
		return 1, 1
	case Ntile, FirstValue, LastValue, OverTexts:
		return 1, 1
	case Lag, Lead:
		return 1, 3
	case NthValue:
		return 2, 2
	}
	return 0, 0
}

// Ranged is the schema of the rows that Select, Qualify and OrderBy read: Inner, or Source if
// records pass through, and the columns of Over.
func (p *Plan) Ranged() (*record.Schema, error) {
	rows := p.Source
	if !p.PassesThrough() {
		var err error
		rows, err = p.Inner()
		if err != nil {
			return nil, err
		}
	}
	_, ranged, err := p.compileOver(rows)
	return ranged, err
}

// compileArranged is compilePass for a plan that computes columns over all records. The records are
// kept as they are, as far as something reads them, and everything else is done at the end.
func (l *compiler) compileArranged() error {
	p := l.plan
	over, ranged, err := p.compileOver(p.Source)
	if err != nil {
		return err
	}
	a := &layout.Projection{Over: over, Qualify: p.Qualify, Distinct: p.Distinct, Offset: p.Offset}
	if p.Limit != nil {
		a.Limit, a.Limited = *p.Limit, true
	}
	var all []expr.Output
	of := func(e *expr.Expr) layout.Projected {
		all = append(all, expr.Output{Name: fmt.Sprintf("c%d", len(all)), Expr: e})
		return layout.Projected{Inner: -1, Expr: e}
	}
	var fields []record.Field
	for _, o := range p.Select {
		a.Columns = append(a.Columns, of(o.Expr))
		fields = append(fields, record.Field{Name: o.Name, Type: o.Expr.Type(), Nullable: true})
	}
	l.Result, err = record.NewSchema(p.name(), fields...)
	if err != nil {
		return err
	}
	for _, o := range p.OrderBy {
		by := layout.OrderBy{Desc: o.Desc, NullsFirst: o.NullsFirst}
		i, named := l.Result.Index(o.Column)
		switch {
		case o.Expr != nil:
			by.Projected, by.Typ = of(o.Expr), o.Expr.Type()
		case named:
			by.Projected, by.Typ = a.Columns[i], p.Select[i].Expr.Type()
		default:
			return fmt.Errorf("order by %q: there is no such column in Select", o.Column)
		}
		a.Order = append(a.Order, by)
	}
	if p.Qualify != nil {
		of(p.Qualify)
	}
	for _, o := range over {
		for _, e := range append(append([]*expr.Expr{}, o.Args...), o.Partition...) {
			of(e)
		}
		for _, by := range o.Order {
			of(by.Expr)
		}
	}
	program, err := expr.Compile(ranged, nil, all)
	if err != nil {
		return err
	}
	var columns []expr.Output
	l.FromSource = make([]int, p.Source.Len())
	for i := range l.FromSource {
		l.FromSource[i] = -1
	}
	for _, c := range program.Columns() {
		if c < p.Source.Len() {
			l.FromSource[c] = len(columns)
			columns = append(columns, expr.Output{Name: p.Source.Field(c).Name, Expr: expr.Column(p.Source, c)})
		}
	}
	if len(columns) == 0 { // count(*) OVER (): even so a record has to be something
		columns = []expr.Output{{Name: "record", Expr: expr.Bool(true)}}
	}
	if len(columns) > maxArguments {
		return fmt.Errorf("%d columns pass through, at most %d are allowed", len(columns), maxArguments)
	}
	l.Stage, err = expr.Compile(p.Source, p.Where, columns)
	if err != nil {
		return err
	}
	l.Arranged, l.Source, l.Inner = a, l.Stage.Schema(), l.Result
	for i := range l.Source.Len() {
		l.argument(i, l.Source.Field(i), true)
	}
	l.Keys, err = groupkey.NewLayout(l.Source, nil)
	return err
}

// said is an expression with what the columns over rows are in their places.
func (p *Plan) said(e *expr.Expr) string {
	text := e.String()
	for i := range p.Over {
		text = strings.ReplaceAll(text, p.Over[i].Name, p.Over[i].text())
	}
	return text
}
