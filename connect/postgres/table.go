package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/record"
)

// maxNameBytes is the longest name of a column or a table in PostgreSQL.
const maxNameBytes = 63

// firstNullsNotDistinct is the first version whose unique indexes can take NULLs as equal.
const firstNullsNotDistinct = 150000

// name is the name of a table, with or without its schema.
type name []string

// parseName reads name or schema.name.
func parseName(text string) (name, error) {
	n := name(strings.Split(text, "."))
	for _, part := range n {
		if part == "" || len(part) > maxNameBytes || strings.ContainsAny(part, "\"\x00") || len(n) > 2 {
			return nil, fmt.Errorf("postgres: table %q, expected name or schema.name, without quotes, of %d bytes each "+
				"at most", text, maxNameBytes)
		}
	}
	return n, nil
}

// quoted is the name as SQL has it.
func (n name) quoted() string { return pgx.Identifier(n).Sanitize() }

// quote is a name of a column as SQL has it.
func quote(column string) string { return pgx.Identifier{column}.Sanitize() }

// quoteAll are columns with commas between them.
func quoteAll(columns []string) string {
	var all []string
	for _, c := range columns {
		all = append(all, quote(c))
	}
	return strings.Join(all, ", ")
}

// sqlType is the type of a column of a table that the sink makes.
func sqlType(t record.Type) string {
	switch {
	case t == record.Timestamp:
		return "timestamp with time zone"
	case t.IsDecimal() || t.IsWide():
		return fmt.Sprintf("numeric(%d,%d)", t.Precision(), t.Scale())
	}
	return t.String() // the names of the other types are PostgreSQL's
}

// create makes the table if it is not there.
func (s *Sink) create(ctx context.Context) error {
	there, err := s.exists(ctx, s.table)
	if err != nil || there {
		return err
	}
	var parts []string
	for _, f := range s.cfg.columns() {
		part := quote(f.Name) + " " + sqlType(f.Type)
		if !f.Nullable {
			part += " NOT NULL"
		}
		parts = append(parts, part)
	}
	if s.cfg.Mode == Upsert {
		constraint := "PRIMARY KEY"
		if nullable := s.nullableKeys(); len(nullable) > 0 {
			version, err := s.version(ctx)
			if err != nil {
				return err
			}
			if version < firstNullsNotDistinct {
				return final{fmt.Errorf("the columns %q of the key may be NULL, which needs PostgreSQL 15: replace NULL "+
					"with coalesce in the query", nullable)}
			}
			constraint = "UNIQUE NULLS NOT DISTINCT"
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", constraint, quoteAll(s.cfg.Keys)))
	}
	return s.makeTable(ctx, s.table, strings.Join(parts, ", "))
}

// makeTable makes a table that was not there a moment ago.
func (s *Sink) makeTable(ctx context.Context, table name, columns string) error {
	err := s.exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)", table.quoted(), columns))
	if err == nil {
		return nil
	}
	// PostgreSQL may fail if two sessions make it at once.
	if there, again := s.exists(ctx, table); again == nil && there {
		return nil
	}
	return fmt.Errorf("table %s cannot be made: %w", table.quoted(), err)
}

// nullableKeys are the columns of the key that may be NULL.
func (s *Sink) nullableKeys() (names []string) {
	for _, f := range s.cfg.columns() {
		if f.Nullable && slices.Contains(s.cfg.Keys, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// exists says whether there is a table.
func (s *Sink) exists(ctx context.Context, table name) (bool, error) {
	rows, err := s.query(ctx, "SELECT to_regclass($1) IS NOT NULL", table.quoted())
	return err == nil && string(rows[0][0]) == "t", err
}

// version is the version of the server: 150004 is 15.4.
func (s *Sink) version(ctx context.Context) (int, error) {
	rows, err := s.query(ctx, "SELECT current_setting('server_version_num')")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(rows[0][0]))
}

// There is one row for each column of the table, and one with NULLs if there is none.
const compareSQL = `SELECT c.oid, c.relkind::text, format('%I.%I', n.nspname, c.relname),
	has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE'),
	has_table_privilege(c.oid, 'DELETE'),
	a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod),
	a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> '' OR a.attidentity = 'a',
	c.relpersistence::text,
	coalesce((SELECT NOT o.collisdeterministic FROM pg_collation o WHERE o.oid = a.attcollation), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = to_regclass($1) ORDER BY a.attnum`

// There is one row for each index that tells rows apart: its columns, and whether NULLs are equal.
const uniqueSQL = `SELECT to_json(ARRAY(SELECT a.attname::text
	FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u(num, n)
	JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num WHERE u.n <= i.indnkeyatts)), %s
FROM pg_index i WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
	AND i.indpred IS NULL AND i.indexprs IS NULL`

// compare compares the table with the columns that are written. It returns how the table wants
// them. The error says everything that differs.
func (s *Sink) compare(ctx context.Context) ([]form, error) {
	rows, err := s.query(ctx, compareSQL, s.table.quoted())
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, final{errors.New("there is no such table in the database, or the user may not use its schema: " +
			"create = 'true' makes it")}
	}
	first := rows[0]
	s.target = string(first[2])
	if kind := string(first[1]); kind != "r" && kind != "p" {
		return nil, final{fmt.Errorf("%s is no table (relkind %q)", s.target, kind)}
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	is := func(value []byte) bool { return string(value) == "t" }
	if !is(first[3]) || s.cfg.Mode == Upsert && !is(first[4]) || s.rowsDelete() && !is(first[5]) {
		fault("the user lacks rights: GRANT %s ON %s", s.rights(), s.target)
	}
	s.unlogged = string(first[12]) != "p"
	columns := s.cfg.columns()
	forms := make([]form, len(columns))
	found := make([]bool, len(columns))
	for _, row := range rows {
		if row[6] == nil {
			continue // the table has no columns
		}
		i := slices.IndexFunc(columns, func(f record.Field) bool { return f.Name == string(row[6]) })
		if i < 0 {
			if is(row[10]) {
				fault("column %q is NOT NULL without a default, and the query has no such column", row[6])
			}
			continue
		}
		found[i] = true
		oid, _ := strconv.ParseUint(string(row[7]), 10, 32)
		mod, _ := strconv.Atoi(string(row[8]))
		forms[i] = formOf(columns[i].Type, uint32(oid), mod)
		switch {
		case is(row[11]):
			fault("column %q is generated by the database", row[6])
		case is(row[13]) && slices.Contains(s.cfg.Keys, columns[i].Name):
			fault("column %q of the key has a collation that takes different texts as equal, so rows would replace rows "+
				"of other groups: give it a deterministic one", row[6])
		case forms[i] == 0:
			fault("column %q is %s, expected %s", row[6], row[9], expected(columns[i].Type))
		}
	}
	for i, f := range columns {
		if !found[i] {
			fault("column %q is missing, expected %s", f.Name, expected(f.Type))
		}
	}
	if s.cfg.Mode == Upsert && len(faults) == 0 {
		text, err := s.compareKey(ctx, string(first[0]))
		if err != nil {
			return nil, err
		}
		if text != "" {
			fault("%s", text)
		}
	}
	if len(faults) > 0 {
		return nil, final{fmt.Errorf("%s does not fit the query: %s", s.target, strings.Join(faults, "; "))}
	}
	s.stage = s.stageOf(rows)
	return forms, nil
}

// compareKey says what is wrong with the indexes of the table for mode Upsert; "" if nothing is.
func (s *Sink) compareKey(ctx context.Context, table string) (string, error) {
	version, err := s.version(ctx)
	if err != nil {
		return "", err
	}
	equal := "false"
	if version >= firstNullsNotDistinct {
		equal = "i.indnullsnotdistinct"
	}
	rows, err := s.query(ctx, fmt.Sprintf(uniqueSQL, equal), table)
	if err != nil {
		return "", err
	}
	keys := slices.Sorted(slices.Values(s.cfg.Keys))
	nullable, fits := s.nullableKeys(), false
	for _, row := range rows {
		var columns []string
		if err := json.Unmarshal(row[0], &columns); err != nil {
			return "", err
		}
		slices.Sort(columns)
		if slices.Equal(columns, keys) {
			if len(nullable) == 0 || string(row[1]) == "t" {
				return "", nil
			}
			fits = true
		}
	}
	if fits {
		return fmt.Sprintf("the columns %q of the key may be NULL in the query, and the table's unique index takes NULLs "+
			"as different: make it NULLS NOT DISTINCT (PostgreSQL 15), or replace NULL with coalesce in the query",
			nullable), nil
	}
	return fmt.Sprintf("it has no primary key or unique index on exactly (%s), which mode upsert needs",
		quoteAll(s.cfg.Keys)), nil
}

// rowsDelete says whether there are rows that delete others.
func (s *Sink) rowsDelete() bool { return s.cfg.Changes && s.cfg.Mode == Upsert }

// rights are the rights that the user needs on the table.
func (s *Sink) rights() string {
	switch {
	case s.rowsDelete():
		return "SELECT, INSERT, UPDATE, DELETE"
	case s.cfg.Mode == Upsert:
		return "SELECT, INSERT, UPDATE"
	}
	return "INSERT"
}

// formOf is how a column of the table wants values of a type, or 0 if it would change them.
func formOf(t record.Type, oid uint32, mod int) form {
	switch {
	case t == record.Bool && oid == pgtype.BoolOID:
		return formBool
	case t == record.Int64 && oid == pgtype.Int8OID:
		return formInt8
	case t == record.Float64 && oid == pgtype.Float8OID:
		return formFloat8
	case t == record.Timestamp && (oid == pgtype.TimestamptzOID || oid == pgtype.TimestampOID) &&
		(mod < 0 || mod == 6):
		return formTimestamp
	case t == record.String && (oid == pgtype.TextOID || oid == pgtype.VarcharOID && mod < 0):
		return formText
	case t == record.TimeOfDay && oid == pgtype.TimeOID && (mod < 0 || mod == 6):
		return formTime
	case t == record.Interval && oid == pgtype.IntervalOID && mod < 0:
		return formInterval
	case (t == record.String || t == record.Bytes) && oid == pgtype.ByteaOID, t == record.UUID && oid == pgtype.UUIDOID:
		return formBytea
	case (t.IsDecimal() || t.IsWide()) && oid == pgtype.NumericOID:
		if mod < 0 {
			return formNumeric
		}
		precision, scale := (mod-4)>>16&0xffff, (mod-4)&0x7ff
		if scale < 1<<10 && scale >= t.Scale() && precision-scale >= t.Precision()-t.Scale() {
			return formNumeric
		}
	}
	return 0
}

// expected are the types of columns that take a type.
func expected(t record.Type) string {
	switch {
	case t == record.String:
		return "text, character varying without a length, or bytea"
	case t == record.Timestamp:
		return "timestamp with time zone, or timestamp without time zone (UTC)"
	case t.IsDecimal() || t.IsWide():
		return sqlType(t) + ", or a wider numeric"
	}
	return sqlType(t)
}

// A stage is the temporary table of mode Upsert and what is done with it.
type stage struct {
	create string // makes it, unless the session has it
	copy   string // the COPY into it, or into the table in mode Append
	merge  []string
}

// stageOf makes the statements for the table as it is: its types are in the name of the temporary
// table, because a session that a pooler shares may have one of another table, or of before.
func (s *Sink) stageOf(table [][][]byte) stage {
	var columns []string
	for _, f := range s.cfg.columns() {
		columns = append(columns, f.Name)
	}
	target, list := s.table.quoted(), quoteAll(columns)
	if s.cfg.Mode != Upsert {
		return stage{copy: fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", target, list)}
	}
	digest := fnv.New64a()
	_, _ = fmt.Fprintf(digest, "%q %q", columns, table)
	temporary := pgx.Identifier{"pg_temp", fmt.Sprintf("velo_%016x", digest.Sum64())}.Sanitize()
	// The columns are called c0, c1, so that no name of the query can be that of the first two.
	var stages, values, sets, keys, same, distinct, nulls []string
	for i, c := range columns {
		short := fmt.Sprintf("c%d", i)
		stages = append(stages, fmt.Sprintf("t.%s AS %s", quote(c), short))
		values = append(values, short)
		if !slices.Contains(s.cfg.Keys, c) {
			sets = append(sets, fmt.Sprintf("%s = EXCLUDED.%s", quote(c), quote(c)))
			continue
		}
		keys = append(keys, short)
		same = append(same, fmt.Sprintf("t.%s = d.%s", quote(c), short))
		distinct = append(distinct, fmt.Sprintf("t.%s IS NOT DISTINCT FROM d.%s", quote(c), short))
		if slices.Contains(s.nullableKeys(), c) {
			nulls = append(nulls, fmt.Sprintf("d.%s IS NULL", short))
		}
	}
	// The last row of a key counts.
	last := fmt.Sprintf("(SELECT DISTINCT ON (%[1]s) * FROM %[2]s ORDER BY %[1]s, n DESC) d", strings.Join(keys, ", "),
		temporary)
	action := "NOTHING"
	if len(sets) > 0 {
		action = "UPDATE SET " + strings.Join(sets, ", ")
	}
	st := stage{
		create: fmt.Sprintf("CREATE TEMPORARY TABLE IF NOT EXISTS %s ON COMMIT DELETE ROWS AS "+
			"SELECT 0::bigint AS n, false AS deleted, %s FROM %s t WITH NO DATA", temporary, strings.Join(stages, ", "),
			target),
		copy: fmt.Sprintf("COPY %s FROM STDIN (FORMAT binary)", temporary),
	}
	if s.rowsDelete() {
		st.merge = append(st.merge, fmt.Sprintf("DELETE FROM %s t USING %s WHERE d.deleted AND %s", target, last,
			strings.Join(same, " AND ")))
	}
	if s.rowsDelete() && len(nulls) > 0 { // no index is used for this, so it has only the keys with a NULL
		st.merge = append(st.merge, fmt.Sprintf("DELETE FROM %s t USING %s WHERE d.deleted AND (%s) AND %s", target, last,
			strings.Join(nulls, " OR "), strings.Join(distinct, " AND ")))
	}
	st.merge = append(st.merge, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE NOT deleted "+
		"ON CONFLICT (%s) DO %s", target, list, strings.Join(values, ", "), last, quoteAll(s.cfg.Keys), action))
	return st
}
