package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: the queries of a public test suite have the rows that the suite's own database says they
// have. Method: VELO_SUITE is a folder of files of SQL: statements (.sql), sqllogictest (.slt,
// .part, .test) or SQLite's own scripts (.test). VELO_ORACLE is the database that runs every
// statement: postgresql (the default), duckdb or sqlite. Each query that the database answers and
// that reads one table, in any number of SELECTs, is a case. velo gets the rows of that table and
// the same text. The log counts what is refused by its reason. VELO_SUITE_SHOW=text shows the cases
// whose outcome has that text. VELO_SUITE_FROM=none takes the queries without FROM in the place of
// those over one table.
func TestSuite(t *testing.T) {
	folder := os.Getenv("VELO_SUITE")
	if folder == "" {
		t.Skip("VELO_SUITE names no folder")
	}
	newOracle := map[string]func(*testing.T) oracle{"sqlite": newSQLite, "duckdb": newDuckDB}[os.Getenv("VELO_ORACLE")]
	if newOracle == nil {
		newOracle = newPostgres
	}
	s := &suite{t: t, oracle: newOracle(t).(suiteOracle), show: os.Getenv("VELO_SUITE_SHOW"), refused: map[string]int{}}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".sql", ".slt", ".part", ".test", ".test_slow":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			lite, ok := s.oracle.(*sqlite)
			if ok {
				lite.reset(t) // each of its files begins with an empty database
			}
			s.file(filepath.Base(path), string(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cases, %d right, %d refused, %d set aside, %d not compared, %d wrong; right are %.1f %% of all, %.1f %% "+
		"of those that could be compared", s.cases, s.right, s.refusals, s.aside, s.other, s.wrong,
		100*float64(s.right)/float64(max(1, s.cases)),
		100*float64(s.right)/float64(max(1, s.right+s.refusals+s.aside+s.wrong)))
	reasons := slices.SortedFunc(maps.Keys(s.refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.refused[b], s.refused[a]), cmp.Compare(a, b))
	})
	for _, r := range reasons[:min(len(reasons), 80)] {
		t.Logf("%5d %s", s.refused[r], r)
	}
	if s.wrong > 0 {
		t.Errorf("%d wrong", s.wrong)
	}
}

// suiteOracle is an oracle that runs the statements of a suite.
type suiteOracle interface {
	oracle
	// run runs a statement. The rows of a query are its values, columns by name and type in words
	// of the database.
	run(text string) (columns []suiteColumn, rows [][]any, err error)
	// decides is why a query over a table has other rows in velo: the table has what the harness
	// cannot give it. It begins with "other: ", or is "".
	decides(from, text string) string
}

// suiteColumn is a column of a table or of a result.
type suiteColumn struct {
	name string
	typ  record.Type // 0 if velo has none
}

type suite struct {
	t      *testing.T
	oracle suiteOracle
	show   string
	// tables may be joined with.
	tables []*lookup.Table

	cases, right, refusals, aside, other, wrong int
	refused                                     map[string]int
}

// tableNames finds what a query reads.
var (
	tableNames = regexp.MustCompile(`(?is)\bfrom\s+("[^"]+"|[a-z_][\w.]*|\()(\s+(as\s+)?[a-z_]\w*)?\s*(,|\()?`)
	fromWord   = regexp.MustCompile(`(?is)\b(from|table)\b`)
	joinWord   = regexp.MustCompile(`(?is)\bjoin\b`)
	commonName = regexp.MustCompile(`(?is)(?:\bwith|\brecursive|,)\s*([a-z_]\w*)\s*(?:\([^()]*\)\s*)?as\s*` +
		`(?:(?:not\s+)?materialized\s*)?\(\s*(?:select|values|with)\b`)
	fieldFrom = regexp.MustCompile(`(?is)(extract|substring|trim|overlay|position)\s*\([^()]*\bfrom\b`)
	isFrom    = regexp.MustCompile(`(?is)distinct\s+from`)
	isQuery   = regexp.MustCompile(`(?is)^[\s(]*(select|with|values)\b`)
)

// bareText is a query without its texts, and without the FROM of functions.
func bareText(text string) string {
	text = quoted.ReplaceAllString(text, "''")
	return isFrom.ReplaceAllString(fieldFrom.ReplaceAllString(text, "("), "")
}

// oneTable is the name of the table of a query that reads just one, in any number of SELECTs; ""
// for another query.
func oneTable(text string) string {
	bare := bareText(text)
	if joinWord.MatchString(bare) {
		return ""
	}
	common := map[string]bool{}
	for _, m := range commonName.FindAllStringSubmatch(bare, -1) {
		common[strings.ToLower(m[1])] = true
	}
	one := ""
	for _, m := range tableNames.FindAllStringSubmatch(bare, -1) {
		name := m[1]
		switch {
		case m[4] == "," && name != "(", m[4] == "(" && name != "(" && m[2] == "":
			return "" // several tables, or a function that makes one
		case name == "(" || common[strings.ToLower(name)]:
		case one != "" && !strings.EqualFold(name, one):
			return ""
		default:
			one = name
		}
	}
	return one
}

// maxFile is how long the statements of one file may take. Some scripts are made to fill a disk.
const maxFile = time.Minute

func (s *suite) file(name, text string) {
	began := time.Now()
	for _, q := range statements(name, text) {
		if time.Since(began) > maxFile {
			s.t.Logf("%s: not read to its end after %v", name, maxFile)
			return
		}
		if !isQuery.MatchString(q) {
			if !strings.HasPrefix(strings.ToLower(q), "copy") || strings.Contains(q, "FROM '") {
				_, _, _ = s.oracle.run(q) // a suite has statements that fail
			}
			continue
		}
		columns, rows, err := s.oracle.run(q)
		if err != nil {
			continue
		}
		from := oneTable(q)
		switch {
		case len(columns) == 0:
		case os.Getenv("VELO_SUITE_FROM") == "none":
			if from == "" && !fromWord.MatchString(bareText(q)) {
				none := []suiteColumn{{name: "none", typ: record.Int64}}
				s.count(name, q, "", s.compare(q, "t", none, nil, columns, rows))
			}
		case from != "":
			s.query(name, q, from, columns, rows)
		}
	}
}

// query is one case.
func (s *suite) query(file, text, from string, columns []suiteColumn, want [][]any) {
	const most = 20_000
	fields, given, err := s.oracle.run("SELECT * FROM " + from)
	if err != nil || len(given) > most || len(fields) == 0 {
		return
	}
	_, isLite := s.oracle.(*sqlite)
	if hidden := strings.ToLower(rowID.FindString(text)); isLite && hidden != "" && !strings.Contains(text, "*") {
		// SQLite's hidden column is one of the rows that velo gets.
		with, rows, err := s.oracle.run("SELECT " + hidden + " AS " + hidden + ", * FROM " + from)
		named := slices.ContainsFunc(fields, func(f suiteColumn) bool { return strings.EqualFold(f.name, hidden) })
		if err == nil && !named && len(with) == len(fields)+1 {
			fields, given = with, rows
		}
	}
	s.count(file, text, from, s.compare(text, from, fields, given, columns, want))
}

// count counts a case by its outcome.
func (s *suite) count(file, text, from, outcome string) {
	s.cases++
	rule := ""
	switch _, lite := s.oracle.(*sqlite); {
	case strings.HasPrefix(outcome, "wrong: "):
		rule = cmp.Or(s.oracle.decides(from, text), s.rule(text))
	case strings.HasPrefix(outcome, "refused: ") && lite && rowID.MatchString(text):
		rule = "other: rowid, which is no column of the rows that velo gets"
	}
	outcome = cmp.Or(rule, outcome)
	if s.show != "" && strings.Contains(outcome, s.show) {
		s.t.Logf("%s: %s\n%s", file, text, outcome)
	}
	kind, reason, _ := strings.Cut(outcome, ": ")
	switch kind {
	case "right":
		s.right++
	case "wrong":
		s.wrong++
		s.t.Logf("%s: %s\n%s", file, text, outcome)
	case "aside":
		s.aside++
	case "other":
		s.other++
		s.refused[outcome[:min(len(outcome), 100)]]++
	default:
		s.refusals++
		s.refused[reason]++
	}
}

// rule is the rule of velo by which a query has other rows than the oracle says, or "". Each is in
// docs/sql.md or docs/semantics.md.
func (s *suite) rule(text string) string {
	_, lite := s.oracle.(*sqlite)
	switch {
	case lite && quotedNumber.MatchString(text):
		return "other: by rule: a text constant takes the type of the number that it meets"
	case lite && wideNumber.MatchString(text):
		return "other: by rule: a bigint that meets a double precision becomes one, as in PostgreSQL"
	case !lite && strings.Contains(text, "float4"):
		return "other: by rule: real is double precision"
	case !lite && wideNumber.MatchString(text) && strings.Contains(text, " / "):
		return "other: by rule: a quotient of wide decimals has 16 digits after the point or more"
	case !lite && strings.Contains(text, " ^ "):
		return "other: by rule: a power is double precision"
	case lite && strings.Contains(text, "<<62)*"):
		return "other: by rule: a product that does not fit is NULL, and counted"
	}
	return ""
}

var (
	quotedNumber = regexp.MustCompile(`'\s*-?\d+(\.\d+)?\s*'`)
	rowID        = regexp.MustCompile(`(?i)\b(rowid|oid|_rowid_)\b`)
	wideNumber   = regexp.MustCompile(`\b\d{17,}\b`)
)

var (
	place  = regexp.MustCompile(`^query: (line \d+, column \d+: )?`)
	naming = regexp.MustCompile(`"[^"]*"`)
)

// reasonOf is an error without its place and without the names in it.
func reasonOf(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text = place.ReplaceAllString(text, "")
	if !strings.HasPrefix(text, "there is no function") && !strings.HasPrefix(text, "unexpected") {
		text = naming.ReplaceAllString(text, `"x"`)
	}
	return text[:min(len(text), 130)]
}

func (s *suite) compare(text, from string, fields []suiteColumn, given [][]any, columns []suiteColumn,
	want [][]any,
) string {
	schema, batches, err := suiteTable(strings.Trim(strings.ToLower(from), `"`), fields, given)
	if err != nil {
		return "other: " + err.Error()
	}
	if strings.Contains(from, ".") {
		return "other: a name with a dot"
	}
	if len(fields) > schema.Len() && strings.Contains(text, "*") &&
		!strings.Contains(strings.ReplaceAll(text, " ", ""), "(*)") {
		return "other: a column of a type that velo has not"
	}
	pl, err := query.Catalog{
		Sources: []*record.Schema{schema}, Tables: s.tables,
		Subquery: func(p *plan.Plan) ([]*record.Batch, error) {
			w, batches := &keptBatches{}, batches
			if given := p.Innermost().Given; given != nil {
				batches = given
			}
			rejects, err := suiteRun(p, p.Innermost().Source, batches, w)
			if err == nil && rejects != "" {
				err = errors.New(rejects)
			}
			return w.all, err
		},
	}.Compile(text)
	if err != nil && len(fields) > schema.Len() && strings.Contains(err.Error(), "there is no column") {
		return "other: a column of a type that velo has not"
	}
	if err != nil {
		return "refused: " + reasonOf(err)
	}
	if given := pl.Innermost().Given; given != nil {
		batches = given
	}
	w := &suiteSink{}
	rejects, err := suiteRun(pl, pl.Innermost().Source, batches, w)
	got := w.rows
	switch {
	case err != nil:
		return "wrong: " + err.Error()
	case rejects != "":
		return "aside: " + rejects
	case strings.Contains(text, "LIMIT 0") && len(got) == 0:
		return "right"
	}
	types := make([]record.Type, len(columns))
	for i, c := range columns {
		types[i] = c.typ
		result, err := pl.Result()
		if err != nil || i >= result.Len() {
			continue
		}
		switch result.Field(i).Type {
		case record.Bool:
			types[i] = record.Bool // a number in SQLite
		case record.String:
			for _, row := range want { // a value of another type as velo writes it
				if row[i] != nil {
					row[i] = suiteText(row[i])
				}
			}
		}
	}
	var rows [][]cell
	for _, row := range want {
		var cells []cell
		for i, v := range row {
			cells = append(cells, suiteCell(v, types[i]))
		}
		rows = append(rows, cells)
	}
	if d := sameRows(got, rows, nil); d != "" {
		return "wrong: " + d
	}
	return "right"
}

// suiteText is a value as a text.
func suiteText(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999999")
	}
	return fmt.Sprint(v)
}

func suiteCell(v any, t record.Type) cell {
	if n, ok := v.(exactNumber); ok {
		return exactCell(string(n))
	}
	if _, isText := v.(string); isText && t.IsLogical() {
		t = record.String
	}
	return cellOf(v, t)
}

// exactNumber is a number by its digits.
type exactNumber string

// suiteTable makes batches of the rows of a table.
func suiteTable(name string, columns []suiteColumn, rows [][]any) (*record.Schema, []*record.Batch, error) {
	var fields []record.Field
	var taken []int
	for i, c := range columns {
		typ := c.typ
		if typ == 0 {
			continue
		}
		if typ.IsDecimal() { // of a number without declared digits
			scale, whole := 0, 0
			for _, r := range rows {
				if n, ok := r[i].(exactNumber); ok {
					if strings.ContainsAny(string(n), "Nn") { // NaN, Infinity
						scale = record.MaxDigits + 1
					}
					w, f, _ := strings.Cut(strings.TrimPrefix(string(n), "-"), ".")
					scale, whole = max(scale, len(f)), max(whole, len(w))
				}
			}
			typ = record.DecimalOf(18, min(scale, 17))
			switch {
			case scale+whole > record.MaxDigits:
				typ = record.Float64
			case scale+whole > 18 || scale > 17:
				typ = record.DecimalOf(record.MaxDigits, scale)
			}
		}
		fields = append(fields, record.Field{Name: strings.ToLower(c.name), Type: typ, Nullable: true})
		taken = append(taken, i)
	}
	if len(fields) == 0 {
		return nil, nil, fmt.Errorf("a table without columns of velo's types")
	}
	schema, err := record.NewSchema(name, fields...)
	if err != nil {
		return nil, nil, err
	}
	var batches []*record.Batch
	for len(rows) > 0 {
		b := record.NewBatch(schema, min(1000, len(rows)))
		n := 0
		for _, row := range rows[:b.Cap()] {
			text := 0
			for _, i := range taken {
				switch v := row[i].(type) {
				case string:
					text += len(v)
				case []byte:
					text += len(v)
				case exactNumber:
					text += 16 // as a wide decimal
				}
			}
			if !b.Add(text) {
				break
			}
			n++
			for c, i := range taken {
				if err := suiteSet(b, c, row[i]); err != nil {
					return nil, nil, err
				}
			}
		}
		if n == 0 {
			return nil, nil, fmt.Errorf("a row that is too long")
		}
		batches, rows = append(batches, b), rows[n:]
	}
	return schema, batches, nil
}

func suiteSet(b *record.Batch, c int, v any) error {
	typ := b.Schema().Field(c).Type
	switch x := v.(type) {
	case nil:
		b.SetNull(c)
		return nil
	case exactNumber:
		if typ == record.Float64 {
			var f float64
			_, err := fmt.Sscan(string(x), &f)
			b.SetFloat64(c, f)
			return err
		}
		e, err := expr.Cast(expr.Text(string(x)), typ)
		if err != nil {
			return err
		}
		v, _ := e.Const()
		if typ.IsWide() {
			b.SetString(c, v.Text)
			return nil
		}
		b.SetInt64(c, int64(v.Bits))
		return nil
	case []byte:
		if typ == record.Bytes {
			b.SetBytes(c, x)
			return nil
		}
	case bool:
		b.SetBool(c, x)
		return nil
	case time.Time:
		if x.Year() < 1678 || x.Year() > 2261 {
			return fmt.Errorf("a time beyond those of velo")
		}
		b.SetTime(c, x)
		return nil
	case string:
		if typ == record.String {
			b.SetString(c, x)
			return nil
		}
		if typ.IsLogical() {
			word, text, err := record.ParseLogical(nil, typ, x)
			if typ.IsFixed() {
				b.SetInt64(c, int64(word))
			} else {
				b.SetBytes(c, text)
			}
			return err
		}
	case int64:
		if typ == record.Float64 {
			b.SetFloat64(c, float64(x))
		} else {
			b.SetInt64(c, x)
		}
		if typ == record.Float64 || typ == record.Int64 {
			return nil
		}
	case float64:
		if typ == record.Float64 {
			b.SetFloat64(c, x)
			return nil
		}
	}
	return fmt.Errorf("a column of %v has a %T", typ, v)
}

// suiteSink keeps what a writer gets.
type suiteSink struct{ rows [][]cell }

func (w *suiteSink) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Len() {
		var row []cell
		for c := range b.Schema().Len() {
			row = append(row, veloCell(b, c, i))
		}
		w.rows = append(w.rows, row)
	}
	return nil
}
func (*suiteSink) Close() error { return nil }

// keptBatches keeps copies of what a writer gets.
type keptBatches struct{ all []*record.Batch }

func (w *keptBatches) Write(_ context.Context, b *record.Batch) error {
	var rows []int32
	for i := range b.Len() {
		rows = append(rows, int32(i))
	}
	w.all = append(w.all, b.CopyRows(rows))
	return nil
}
func (*keptBatches) Close() error { return nil }

// suiteRun runs a plan over batches, and writes its rows to w.
func suiteRun(pl *plan.Plan, schema *record.Schema, batches []*record.Batch, w record.Writer) (rejects string,
	err error,
) {
	if pl.Window != nil {
		pl.Window.OutOfOrder, pl.Window.Retain = plan.AnyOrder, plan.MaxRetain
	}
	var r record.Reader = nothing{}
	if len(batches) > 0 {
		r, err = readers.NewMemory(schema, batches, 1)
		if err != nil {
			return "", err
		}
	}
	config := engine.Config{
		Plan: pl, Readers: []record.Reader{r}, Partitions: 2, Cores: 1, NoPin: true, EpochInterval: -1,
		OnReject: func(_ int, r record.Reject) { rejects = r.Reason.Error() },
	}
	if pl.PassesThrough() {
		config.Writer = w
	}
	e, err := engine.Start(context.Background(), config)
	if err != nil {
		return "", err
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return "", err
	}
	if pl.PassesThrough() {
		return rejects, nil
	}
	s := e.Snapshot()
	defer s.Close()
	for b := range s.Batches(100) {
		if err := w.Write(context.Background(), b); err != nil {
			return "", err
		}
	}
	return rejects, nil
}

// statements cuts a file into statements.
func statements(name, text string) (all []string) {
	switch {
	case strings.HasSuffix(name, ".test") && strings.Contains(text, "execsql"):
		return tclStatements(text)
	case strings.HasSuffix(name, ".sql"):
		return cutStatements(dropLines(text, func(l string) bool { return strings.HasPrefix(l, `\`) }))
	}
	// sqllogictest: a record is a line that begins with statement or query, the text, and for a
	// query what is expected after a line of dashes.
	text = unrolled(strings.ReplaceAll(text, "\r", ""))
	for _, part := range regexp.MustCompile(`\n[ \t]*\n`).Split(text, -1) {
		part = dropLines(part, func(l string) bool {
			return strings.HasPrefix(l, "#") || strings.HasPrefix(l, "skipif") || strings.HasPrefix(l, "onlyif")
		})
		head, body, _ := strings.Cut(strings.TrimSpace(part), "\n")
		if !strings.HasPrefix(head, "statement") && !strings.HasPrefix(head, "query") {
			continue
		}
		body, _, _ = strings.Cut(body, "\n----")
		all = append(all, cutStatements(body)...)
	}
	return all
}

// typeGroups are the types that a loop of DuckDB's suite names by one word.
var typeGroups = map[string]string{
	"<numeric>":  "tinyint smallint integer bigint hugeint float double",
	"<integral>": "tinyint smallint integer bigint hugeint",
	"<signed>":   "tinyint smallint integer bigint hugeint",
	"<unsigned>": "utinyint usmallint uinteger ubigint",
}

// unrolled is a script of DuckDB with its loops written out: foreach name values and loop name from
// to, up to endloop, with {name} or ${name} inside. What would be longer than 10 MB stays as it is.
func unrolled(text string) string {
	const most = 10 << 20
	lines := strings.Split(text, "\n")
	for i := len(lines) - 1; i >= 0; i-- { // the innermost first
		words := strings.Fields(lines[i])
		if len(words) < 3 || words[0] != "foreach" && words[0] != "loop" {
			continue
		}
		n := slices.IndexFunc(lines[i:], func(l string) bool { return strings.TrimSpace(l) == "endloop" })
		if n < 0 {
			continue
		}
		var values []string
		for _, w := range words[2:] {
			values = append(values, strings.Fields(cmp.Or(typeGroups[w], w))...)
		}
		if words[0] == "loop" && len(words) == 4 {
			from, _ := strconv.Atoi(words[2])
			to, _ := strconv.Atoi(words[3])
			values = nil
			for v := from; v < min(to, from+1000); v++ {
				values = append(values, strconv.Itoa(v))
			}
		}
		body := strings.Join(lines[i+1:i+n], "\n")
		if len(body)*len(values) > most {
			continue
		}
		var all []string
		for _, v := range values {
			all = append(all, strings.NewReplacer("${"+words[1]+"}", v, "{"+words[1]+"}", v).Replace(body))
		}
		lines = slices.Concat(lines[:i], all, lines[i+n+1:])
	}
	return strings.Join(lines, "\n")
}

// Goal: loops of scripts are read. Method: two in each other, and two after each other.
func TestUnrolled(t *testing.T) {
	text := "foreach t a b\n\nquery I\nSELECT {t}\n\nloop i 0 2\n\nquery I\nSELECT ${i}, {t}\n\nendloop\n\nendloop\n\n" +
		"foreach u <unsigned>\n\nstatement ok\nSELECT '${u}'\n\nendloop\n"
	want := []string{
		"SELECT a", "SELECT 0, a", "SELECT 1, a", "SELECT b", "SELECT 0, b", "SELECT 1, b", "SELECT 'utinyint'",
		"SELECT 'usmallint'", "SELECT 'uinteger'", "SELECT 'ubigint'",
	}
	if got := statements("x.test", text); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func dropLines(text string, drop func(string) bool) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), drop), "\n")
}

var tclBlock = regexp.MustCompile(`\{([^{}]*)\}`)

// tclStatements are the statements of a script of SQLite: what is in braces and begins like one.
func tclStatements(text string) (all []string) {
	for _, m := range tclBlock.FindAllStringSubmatch(dropLines(text, func(l string) bool {
		return strings.HasPrefix(strings.TrimSpace(l), "#")
	}), -1) {
		for _, q := range cutStatements(m[1]) {
			word, _, _ := strings.Cut(strings.ToLower(q), " ")
			if slices.Contains([]string{"select", "create", "insert", "update", "delete", "drop"}, word) {
				all = append(all, q)
			}
		}
	}
	return all
}

// cutStatements cuts at semicolons outside of quotes and comments, and leaves the comments out.
func cutStatements(text string) (all []string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '-' && strings.HasPrefix(text[i:], "--"):
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				i += n - 1
			} else {
				i = len(text)
			}
		case strings.HasPrefix(text[i:], "/*"):
			n := strings.Index(text[i:], "*/")
			if n < 0 {
				return all
			}
			i += n + 1
		case c == '\'' || c == '"':
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				return all
			}
			b.WriteString(text[i : i+n+2])
			i += n + 1
		case c == ';':
			all = append(all, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	all = append(all, strings.TrimSpace(b.String()))
	return slices.DeleteFunc(all, func(q string) bool { return q == "" })
}

// sized makes the n-th table, without wild values; the sizes come in turn.
func sized(sizes ...int) func(n int) table {
	return func(n int) table {
		return newTable(rand.New(rand.NewPCG(uint64(n), 3)), sizes[n%len(sizes)], false)
	}
}

// randomQueries compares random queries over random tables with PostgreSQL: n of them, or
// VELO_DIFF, or the one of VELO_SEED. Each table is for 20 queries; loaded, if it is not nil, is
// called when it has been loaded. A query that PostgreSQL refuses is left out.
func randomQueries(
	t *testing.T, n int, stream uint64, tables func(n int) table, loaded func(s *suite),
	query func(rng *rand.Rand) string,
) {
	o := newPostgres(t).(suiteOracle)
	first := 0
	if v, err := strconv.Atoi(os.Getenv("VELO_DIFF")); err == nil {
		n = v
	}
	if v, err := strconv.Atoi(os.Getenv("VELO_SEED")); err == nil {
		first, n = v, 1
	}
	s := &suite{t: t, oracle: o, refused: map[string]int{}}
	for seed := first; seed < first+n; seed++ {
		if seed == first || seed%20 == 0 {
			if err := o.load(tables(seed / 20)); err != nil {
				t.Fatal(err)
			}
			if loaded != nil {
				loaded(s)
			}
		}
		text := query(rand.New(rand.NewPCG(uint64(seed), stream)))
		columns, rows, err := o.run(text)
		if err != nil {
			t.Logf("%s\n%v", text, err)
			continue
		}
		wrong, refused := s.wrong, s.refusals
		s.query(fmt.Sprintf("seed %d", seed), text, "t", columns, rows)
		if s.wrong > wrong || s.refusals > refused {
			t.Errorf("VELO_SEED=%d: %s: %d wrong, %v", seed, text, s.wrong-wrong, s.refused)
		}
	}
	t.Logf("%d queries, %d right, %d set aside", s.cases, s.right, s.aside)
	if s.cases < n*9/10 || s.right < s.cases*9/10 {
		t.Errorf("%d of %d queries were compared, %d were right: PostgreSQL refuses too many, or records are set aside",
			s.cases, n, s.right)
	}
}
