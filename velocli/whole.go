package velocli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// formatBytes is how many bytes say the format of a file.
const formatBytes = 16

// whole are files of a format that says itself which columns they have (connect.Format), such as
// Parquet. Nothing is guessed then.
type whole struct {
	connect.Files
	format string
	// columns are what the files have, and left what cannot be read of them.
	columns []record.Field
	left    []connect.LeftField
}

// openWhole opens the files if the first of them says that it is of such a format.
func (f *files) openWhole(in *input) (is bool, err error) {
	if len(f.paths) == 0 {
		return false, nil
	}
	begin, err := beginOf(f.paths[0])
	if err != nil {
		return false, nil // the readers of lines report it
	}
	name, format, ok := connect.Default.FormatOf(begin)
	if !ok {
		return false, nil
	}
	if err := in.linesOnly(f.name, name); err != nil {
		return true, err
	}
	f.whole = &whole{format: name}
	f.whole.Files, err = format.Open(f.paths)
	if err != nil {
		return true, err
	}
	f.whole.columns, f.whole.left, err = f.whole.Columns()
	if err != nil {
		return true, err
	}
	if len(f.whole.columns) == 0 {
		return true, errors.Join(fmt.Errorf("%s has no column that velo reads", f.name), f.whole.saysLeft(""))
	}
	if in.Schema != "" {
		f.schema, err = query.Columns(f.name, in.Schema)
		if err == nil {
			err = f.whole.Bind(f.schema)
		}
		return true, err
	}
	if len(f.whole.columns) > record.MaxFields {
		return true, nil // choose takes those that the query names
	}
	return true, f.bindWhole(f.whole.columns)
}

// bindWhole makes the schema of some columns.
func (f *files) bindWhole(columns []record.Field) (err error) {
	f.schema, err = record.NewSchema(f.name, columns...)
	if err != nil {
		return err
	}
	return f.whole.Bind(f.schema)
}

// chooseWhole takes the columns that a query names, if there are more than a record may have.
func (f *files) chooseWhole(sql string) error {
	var some []record.Field
	for i, c := range f.whole.columns {
		if mentions(sql, c.Name) || star.MatchString(sql) || len(some) == 0 && i == len(f.whole.columns)-1 {
			some = append(some, c)
		}
	}
	if n := len(some); n > record.MaxFields {
		return tooWide(f.name, n)
	}
	return f.bindWhole(some)
}

// skip tells readers which records nobody wants.
func (f *files) skip(rs []record.Reader) {
	f.skippers = nil
	for _, r := range rs {
		s, ok := r.(record.Skipper)
		if ok && len(f.bounds) > 0 {
			s.Skip(f.bounds)
			f.skippers = append(f.skippers, s)
		}
	}
}

// skippedLine says how many records the readers have left out; "" if none.
func (f *files) skippedLine() string {
	n := uint64(0)
	for _, s := range f.skippers {
		n += s.Skipped()
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d rows skipped, in row groups whose statistics say that WHERE is true of none\n", n)
}

// beginOf is the beginning of a file.
func beginOf(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	begin := make([]byte, formatBytes)
	n, err := io.ReadFull(in, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return begin[:n], nil
}

// linesOnly refuses what is said about lines if files have none.
func (in *input) linesOnly(name, format string) error {
	said := ""
	for what, is := range map[string]bool{
		"--input-format": in.InputFormat != "auto" && in.InputFormat != "", "--delimiter": in.Delimiter != "",
		"--header": in.Header, "--no-header": in.NoHeader, "--time-unit": in.TimeUnit != "",
		"--time-format": in.TimeFormat != "", "--time-zone": in.TimeZone != "", "--null": len(in.Null) > 0,
		"--decimal": in.Decimal != "", "--comment": in.Comment != "", "--skip-lines": in.SkipLines != 0,
		"--strict": in.Strict, "--follow": in.Follow,
	} {
		if is && (said == "" || what < said) {
			said = what
		}
	}
	if said == "" {
		return nil
	}
	return cli.Misusef("%s: %s is %s, which has no lines and says itself what it has: leave it out", said, name, format)
}

// mentionsWord says whether a query contains a name that is not a part of another, ignoring case.
func mentionsWord(sql, name string) bool {
	is, err := regexp.MatchString(`(?i)(^|[^\pL\pN_])`+regexp.QuoteMeta(name)+`($|[^\pL\pN_])`, sql)
	return err == nil && is
}

// saysLeft says which fields of the files a query names that cannot be read, or all if it is empty.
func (w *whole) saysLeft(sql string) error {
	var all []error
	for _, l := range w.left {
		first, _, _ := strings.Cut(l.Name, ".")
		if sql == "" || mentionsWord(sql, first) {
			all = append(all, fmt.Errorf("field %q is not read: %s", l.Name, l.Why))
		}
	}
	return errors.Join(all...)
}
