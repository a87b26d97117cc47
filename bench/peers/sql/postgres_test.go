package sql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/record"
)

// postgres is the oracle for everything: its dialect is velo's. Where velo has decided otherwise,
// says has what velo means.
type postgres struct{ conn *pgx.Conn }

func (*postgres) name() string { return "PostgreSQL" }
func (*postgres) wild() bool   { return true }

// newPostgres starts a server of its own, which listens on a socket in a folder of its own and is
// gone when the test is.
func newPostgres(t *testing.T) oracle {
	bin := postgresBin()
	if bin == "" {
		t.Skip("PostgreSQL is not installed: neither in PATH nor in /usr/lib/postgresql")
	}
	// A socket's path has 107 bytes at most, so it does not lie in the test's own folder.
	dir, err := os.MkdirTemp("", "velo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, as := filepath.Join(dir, "data"), &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		// The server refuses to be root.
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				t.Skip("PostgreSQL cannot run as root, and there is neither a user postgres nor nobody")
			}
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr, c.Env = dir, as, append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME="+dir)
		return c
	}
	if out, err := command("initdb", "-D", data, "-U", "velo", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
		"--lc-collate=C", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	// The shell ends the server when its own input ends, which it does however the test does.
	server := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "jit=off",
		"-c", "max_parallel_workers_per_gather=0", "-c", "timezone=UTC", "-c", "log_min_messages=fatal", "-c",
		"log_min_error_statement=panic")
	server.Args = append([]string{
		"sh", "-c",
		`exec 3<&0; "$0" "$@" </dev/null 3<&- & p=$!; { read _ <&3; kill -INT $p; } 2>/dev/null & wait $p`,
		server.Path,
	}, server.Args[1:]...)
	server.Path = "/bin/sh"
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	alive, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		alive.Close()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("the server has not ended after a minute")
		}
	})
	config, err := pgx.ParseConfig("host=" + dir + " user=velo dbname=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	for began := time.Now(); ; {
		conn, err := pgx.ConnectConfig(context.Background(), config)
		if err == nil {
			t.Cleanup(func() { conn.Close(context.Background()) })
			return &postgres{conn}
		}
		select {
		case err := <-ended:
			ended <- err // for the cleanup
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("the server has ended: %v\n%s", err, text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("no connection after a minute: %v", err)
		}
	}
}

// postgresBin is the folder with the server's programs: the folder in PATH, else the newest of
// Debian's.
func postgresBin() string {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), "postgres")); err == nil {
				return filepath.Dir(p)
			}
		}
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	version := func(p string) int {
		v, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		return v
	}
	slices.SortFunc(all, func(a, b string) int { return version(a) - version(b) })
	if len(all) == 0 {
		return ""
	}
	return filepath.Dir(all[len(all)-1])
}

func (d *postgres) load(t table) error {
	ctx := context.Background()
	if _, err := d.conn.Exec(ctx, "DROP TABLE IF EXISTS t; CREATE TABLE t ("+columns(record.Type.String)+")"); err !=
		nil {
		return err
	}
	// Text in COPY's own form: what it means does not depend on what the driver makes of NaN or of
	// a year.
	var b strings.Builder
	for _, row := range t {
		for c, v := range row {
			if c > 0 {
				b.WriteByte('\t')
			}
			switch v := v.(type) {
			case nil:
				b.WriteString(`\N`)
			case int64:
				switch f := schema.Field(c).Type; {
				case f == record.Timestamp:
					b.WriteString(time.UnixMicro(v).UTC().Format("2006-01-02 15:04:05.999999"))
				case f.IsDecimal():
					b.WriteString(record.Decimal{Unscaled: v, Scale: uint8(f.Scale())}.String())
				default:
					b.WriteString(strconv.FormatInt(v, 10))
				}
			case float64:
				b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
			case bool:
				b.WriteString(strconv.FormatBool(v))
			case string:
				b.WriteString(strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`).Replace(v))
			}
		}
		b.WriteByte('\n')
	}
	_, err := d.conn.PgConn().CopyFrom(ctx, strings.NewReader(b.String()), "COPY t FROM STDIN")
	return err
}

// OFFSET 0 keeps the planner from computing anything for the rows that are left out.
func (d *postgres) without(rows []int) string {
	if len(rows) == 0 {
		return "t"
	}
	return "(SELECT * FROM t WHERE n NOT IN (" + leaveOut(rows) + ") OFFSET 0) AS t"
}

// only is t with one row.
func (d *postgres) only(row int) string {
	return fmt.Sprintf("(SELECT * FROM t WHERE n = %d OFFSET 0) AS t", row)
}

// failed says that something could not be computed: class 22 of the errors.
func (d *postgres) rows(query string, types []record.Type) (all [][]cell, failed bool, err error) {
	rows, err := d.conn.Query(context.Background(), query)
	if err == nil {
		defer rows.Close()
		fields := rows.FieldDescriptions()
		for rows.Next() {
			var row []cell
			for i, raw := range rows.RawValues() {
				row = append(row, postgresCell(raw, fields[i].DataTypeOID))
			}
			all = append(all, row)
		}
		err = rows.Err()
	}
	var fault *pgconn.PgError
	return all, errors.As(err, &fault) && strings.HasPrefix(fault.Code, "22"), err
}

// run is for a suite.
func (d *postgres) run(text string) (columns []suiteColumn, all [][]any, err error) {
	// A context with a deadline would close the connection.
	ctx := context.Background()
	// A suite changes these, and velo does not hear of it.
	_, _ = d.conn.Exec(ctx, "SET statement_timeout = 30000; SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; "+
		"SET intervalstyle = 'postgres'")
	rows, err := d.conn.Query(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	oids := rows.FieldDescriptions()
	for _, f := range oids {
		typ := map[uint32]record.Type{
			pgtype.BoolOID: record.Bool, pgtype.Int2OID: record.Int64, pgtype.Int4OID: record.Int64,
			pgtype.Int8OID: record.Int64, pgtype.Float8OID: record.Float64, pgtype.TextOID: record.String,
			pgtype.VarcharOID: record.String, pgtype.NameOID: record.String, pgtype.TimestampOID: record.Timestamp,
			pgtype.TimestamptzOID: record.Timestamp, pgtype.DateOID: record.Timestamp,
			pgtype.NumericOID: record.DecimalOf(18, 0), pgtype.TimeOID: record.TimeOfDay, pgtype.UUIDOID: record.UUID,
			pgtype.ByteaOID: record.Bytes, pgtype.IntervalOID: record.Interval,
		}[f.DataTypeOID]
		columns = append(columns, suiteColumn{f.Name, typ})
	}
	for rows.Next() {
		var row []any
		for i, raw := range rows.RawValues() {
			row = append(row, postgresValue(raw, oids[i].DataTypeOID))
		}
		all = append(all, row)
	}
	return columns, all, rows.Err()
}

// decides is why the rows of a query over a table are not compared, or "".
func (d *postgres) decides(from, text string) string {
	var collated, names bool
	row := d.conn.QueryRow(context.Background(), `SELECT
		coalesce(bool_or(a.attcollation NOT IN (0, 100, 950) AND a.atttypid <> 'name'::regtype), false),
		coalesce(bool_or(a.atttypid = 'name'::regtype), false)
		FROM pg_attribute a WHERE attnum > 0 AND attrelid = '`+strings.ReplaceAll(from, "'", "")+`'::regclass`)
	if row.Scan(&collated, &names) != nil {
		return ""
	}
	switch {
	case collated:
		return "other: a collation, and velo compares texts by their bytes"
	case names && longLiteral.MatchString(text):
		return "other: a text that the type name cuts"
	}
	return ""
}

var longLiteral = regexp.MustCompile(`'[^']{64,}'`)

// postgresValue is a value of a type by its text.
func postgresValue(raw []byte, oid uint32) any {
	if raw == nil {
		return nil
	}
	s := string(raw)
	switch oid {
	case pgtype.BoolOID:
		return s == "t"
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		n, _ := strconv.ParseInt(s, 10, 64)
		return n
	case pgtype.NumericOID:
		return exactNumber(s)
	case pgtype.Float8OID, pgtype.Float4OID:
		f, _ := strconv.ParseFloat(s, 64)
		return f
	case pgtype.IntervalOID: // velo has its length alone, and shows that as days and a time
		word, _, err := record.ParseLogical(nil, record.Interval, s)
		if err == nil {
			return string(record.AppendLogical(nil, record.Interval, word, nil))
		}
	case pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.DateOID:
		for _, form := range []string{"2006-01-02 15:04:05.999999", "2006-01-02"} {
			if t, err := time.Parse(form, strings.TrimSuffix(s, "+00")); err == nil {
				return t
			}
		}
	}
	return s
}

// postgresCell is a value of a type as its text.
func postgresCell(raw []byte, oid uint32) cell {
	if raw == nil {
		return cell{text: "NULL"}
	}
	s := string(raw)
	switch oid {
	case pgtype.BoolOID:
		return cell{text: strconv.FormatBool(s == "t"), kind: other}
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.NumericOID:
		return exactCell(s)
	case pgtype.Float8OID:
		f, err := strconv.ParseFloat(s, 64)
		if err == nil {
			return numberCell(f)
		}
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		t, err := time.Parse("2006-01-02 15:04:05.999999", strings.TrimSuffix(s, "+00"))
		if err == nil {
			return timeCell(t.UnixMicro())
		}
	case pgtype.TextOID, pgtype.VarcharOID:
		return cell{text: strconv.Quote(s), kind: other}
	}
	return cell{text: fmt.Sprintf("type %d: %s", oid, s), kind: other}
}

func (*postgres) says() map[string]string { return postgresSays }

// What PostgreSQL says otherwise is where velo has other types, which docs/semantics.md has: one
// type of integers, floats for what is computed of decimals, timestamps without a zone.
var postgresSays = map[string]string{
	"json_array_length('[' || %i || ', 2]')":                "json_array_length(CAST('[' || $1 || ', 2]' AS json))",
	`(('{"a": [' || %i || ', {"b": true}]}') #>> '{a,0}')`:  `(CAST('{"a": [' || $1 || ', {"b": true}]}' AS json) #>> '{a,0}')`,
	`(('{"a": [' || %i || ', {"b": "x"}]}') #> '{a,1,b}')`:  `CAST(CAST('{"a": [' || $1 || ', {"b": "x"}]}' AS json) #> '{a,1,b}' AS text)`,
	`json_typeof(('[' || %i || ', {}]') #> '{1}')`:          `json_typeof(CAST('[' || $1 || ', {}]' AS json) #> '{1}')`,
	`json_extract_path_text('{"a": "x' || %i || '"}', 'a')`: `json_extract_path_text(CAST('{"a": "x' || $1 || '"}' AS json), 'a')`,
	"(%s GLOB 'a*')":          `(starts_with($1, 'a'))`,
	"(%s GLOB '?[a-mz]*')":    `($1 ~ '^.[a-mz]')`,
	"(%s NOT GLOB '*[^a-c]')": `($1 !~ '[^a-c]$')`,
	// A constant is an int4, and folded while the query is planned.
	"%n": "(n * 0 + $1)", "(-%n)": "(n * 0 - $1)", "%n.5e0": "CAST(n * 0 + $1.5 AS double precision)",
	"(-9223372036854775808)": "(n * 0 + CAST('-9223372036854775808' AS bigint))",
	"9223372036854775807":    "(n * 0 + 9223372036854775807)",
	"sign(%i)":               "CAST(sign($1) AS bigint)", "floor(%i)": "CAST(floor(CAST($1 AS numeric)) AS bigint)",
	"ceil(%i)": "CAST(ceil(CAST($1 AS numeric)) AS bigint)", "round(%i)": "CAST(round(CAST($1 AS numeric)) AS bigint)",
	"trunc(%i)": "CAST(trunc(CAST($1 AS numeric)) AS bigint)", "round(%i, 2)": "CAST(round($1, 2) AS bigint)",
	"length(%s)": "CAST(length($1) AS bigint)", "char_length(%s)": "CAST(char_length($1) AS bigint)",
	"position(%s IN %s)":  "CAST(position($1 IN $2) AS bigint)",
	"position('a' IN %s)": "CAST(position('a' IN $1) AS bigint)",
	"CAST(%b AS bigint)":  "CAST(CAST($1 AS int) AS bigint)", "CAST(%i AS boolean)": "($1 <> 0)",
	"extract(%c FROM %t)":           "CAST(extract($1 FROM $2) AS bigint)",
	"date_part('hour', %t)":         "CAST(date_part('hour', $1) AS bigint)",
	"extract(day FROM ts)":          "CAST(extract(day FROM ts) AS bigint)",
	"extract(epoch FROM %t)":        "CAST(extract(epoch FROM $1) AS double precision)",
	"extract(second FROM %t)":       "CAST(extract(second FROM $1) AS double precision)",
	"extract(millisecond FROM %t)":  "CAST(extract(millisecond FROM $1) AS double precision)",
	"extract(epoch FROM (%t - %t))": "CAST(extract(epoch FROM ($1 - $2)) AS double precision)",
	"(%d / %d)":                     "(CAST($1 AS double precision) / CAST($2 AS double precision))",
	"(%i / %d)":                     "(CAST($1 AS double precision) / CAST($2 AS double precision))",
	"round(%f, 2)":                  "CAST(round(CAST($1 AS numeric), 2) AS double precision)",
	"round(%f, 0)":                  "CAST(round(CAST($1 AS numeric), 0) AS double precision)",
	"exp(%i)":                       "exp(CAST($1 AS double precision))",
	"to_timestamp(%i)":              "(to_timestamp($1) AT TIME ZONE 'UTC')",
	"to_timestamp(%f)":              "(to_timestamp($1) AT TIME ZONE 'UTC')",
	"CAST(ts AS text)":              `to_char(ts, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`, "sum(j)": "CAST(sum(j) AS bigint)",
	"(%i >> %n)": "($1 >> CAST($2 AS int))", "lcm(%i, %n)": "lcm($1, CAST($2 AS bigint))",
	"gcd(%i, %i)": "gcd($1, $2)", "factorial(%n)": "CAST(factorial($1) AS bigint)",
	"ascii(%s)": "CAST(ascii($1) AS bigint)", "octet_length(%s)": "CAST(octet_length($1) AS bigint)",
	"bit_length(%s)": "CAST(bit_length($1) AS bigint)", "strpos(%s, %s)": "CAST(strpos($1, $2) AS bigint)",
	"width_bucket(%f, -10, 10, 5)": "CAST(width_bucket(CAST($1 AS double precision), -10, 10, 5) AS bigint)",
	"width_bucket(%q, 8, -8, %n)":  "CAST(width_bucket(CAST($1 AS double precision), 8, -8, CAST($2 AS int)) AS bigint)",
	"regexp_count(%s, '[a-c]')":    "CAST(regexp_count($1, '[a-c]') AS bigint)",
	"regexp_instr(%s, 'b')":        "CAST(regexp_instr($1, 'b') AS bigint)",
	"extract(decade FROM %t)":      "CAST(extract(decade FROM $1) AS bigint)",
	"extract(century FROM %t)":     "CAST(extract(century FROM $1) AS bigint)",
	"extract(millennium FROM %t)":  "CAST(extract(millennium FROM $1) AS bigint)",
	"round(%i, -1)":                "CAST(round($1, -1) AS bigint)", "trunc(%i, -2)": "CAST(trunc($1, -2) AS bigint)",
	"round(%f, -1)": "CAST(round(CAST($1 AS numeric), -1) AS double precision)",
	"trunc(%f, 1)":  "CAST(trunc(CAST($1 AS numeric), 1) AS double precision)",
	"trunc(%f, -2)": "CAST(trunc(CAST($1 AS numeric), -2) AS double precision)",
	"log(%f)":       "log(CAST($1 AS double precision))",
	"rpad(%s, %n)":  "rpad($1, $2)", "repeat(%s, %n)": "repeat($1, $2)", "left(%s, %n)": "left($1, $2)",
	"chr(%n + 97)": "chr($1 + 97)",
	"(CAST(%t AS date) - CAST(%t AS date) > %n)": "(CAST($1 AS date) - CAST($2 AS date) > $3)",
	"(DATE '2024-02-29' + %i < %t)":              "(DATE '2024-02-29' + CAST($1 AS int) < $2)",

	"sum(DISTINCT %i)": "CAST(sum(DISTINCT $1) FILTER (WHERE $F) AS numeric)", "avg(DISTINCT %q)": floatOf("avg(DISTINCT $1)"),
	"var_pop(DISTINCT %i)": floatOf("var_pop(DISTINCT $1)"),
	"percentile_cont(0.25) WITHIN GROUP (ORDER BY %d DESC)": "percentile_cont(0.25) WITHIN GROUP (ORDER BY CAST($1 AS " +
		"double precision) DESC)",
	"median(%q)":                        "percentile_cont(0.5) WITHIN GROUP (ORDER BY $1)",
	"mode() WITHIN GROUP (ORDER BY %s)": "mode() WITHIN GROUP (ORDER BY CAST($1 AS text))",
	"percentile_disc(0.2) WITHIN GROUP (ORDER BY %s DESC)": "percentile_disc(0.2) WITHIN GROUP (ORDER BY CAST($1 AS " +
		"text) DESC)",
	"string_agg(%s, '-' ORDER BY n)":         "string_agg(CAST($1 AS text), '-' ORDER BY n)",
	"string_agg(%s, '' ORDER BY %i DESC, n)": "string_agg(CAST($1 AS text), '' ORDER BY $2 DESC, n)",
	"array_agg(%i ORDER BY n)":               "CAST(array_agg($1 ORDER BY n) FILTER (WHERE $F) AS text)",
	"array_agg(%s ORDER BY %q, n DESC)":      "CAST(array_agg(CAST($1 AS text) ORDER BY $2, n DESC) FILTER (WHERE $F) AS text)",
	"array_agg(DISTINCT j)":                  "CAST(array_agg(DISTINCT j) FILTER (WHERE $F) AS text)",
	"array_agg(%b ORDER BY n)":               "CAST(array_agg($1 ORDER BY n) FILTER (WHERE $F) AS text)",
	"extract(day FROM %t - %t)":              "CAST(extract(day FROM $1 - $2) AS bigint)",
	"extract(hour FROM %t - ts)":             "CAST(extract(hour FROM $1 - ts) AS bigint)",
	"extract(minute FROM u - %t)":            "CAST(extract(minute FROM u - $1) AS bigint)",
	"extract(microseconds FROM %t - %t)":     "CAST(extract(microseconds FROM $1 - $2) AS bigint)",
	"extract(second FROM %t - %t)":           "CAST(extract(second FROM $1 - $2) AS double precision)",
	"age(ts, u)":                             "CAST(age(ts, u) AS text)", "age(u, %t)": "CAST(age(u, $1) AS text)",
	"extract(year FROM age(ts, u))":  "CAST(extract(year FROM age(ts, u)) AS bigint)",
	"extract(month FROM age(u, ts))": "CAST(extract(month FROM age(u, ts)) AS bigint)",
	"extract(day FROM age(u, %t))":   "CAST(extract(day FROM age(u, $1)) AS bigint)",
	"tumble.start":                   "date_bin($1, ts, TIMESTAMP '1970-01-01')",
	"tumble.end":                     "(date_bin($1, ts, TIMESTAMP '1970-01-01') + $1)",
	"hop.series": "generate_series(date_bin($3, ts, TIMESTAMP '1970-01-01') - $1 + $3, date_bin($3, ts, TIMESTAMP " +
		"'1970-01-01'), $3)",
	"hop.start": "w", "hop.end": "(w + $1)",
	"cumulate.series": "generate_series(date_bin($3, ts, TIMESTAMP '1970-01-01') + $3, date_bin($1, ts, TIMESTAMP " +
		"'1970-01-01') + $1, $3)",
	"cumulate.start": "date_bin($1, ts, TIMESTAMP '1970-01-01')", "cumulate.end": "w",
	// What cannot be computed of groups is NULL in velo.
	"(%p / %p)": "($1 / nullif($2, 0))", "(%p % %p)": "($1 % nullif($2, 0))", "(1000 / %p)": "(1000 / nullif($1, 0))",
	"(1000 / sum(j))":                "(1000 / nullif(CAST(sum(j) AS bigint), 0))",
	"(%t > CAST(%m AS timestamptz))": "($1 > CAST($2 AS timestamptz) AT TIME ZONE 'UTC')",
	"(2 ^ %q)":                       "(CAST(2 AS double precision) ^ $1)",
	"approx_count_distinct(s)":       "count(DISTINCT s)", "approx_count_distinct(j)": "count(DISTINCT j)",
	"approx_count_distinct(b)": "count(DISTINCT b)",
	// Of whole numbers and decimals these are numerics.
	"avg(%i)": floatOf("avg($1)"), "avg(%d)": floatOf("avg($1)"), "var_pop(%i)": floatOf("var_pop($1)"),
	"var_samp(%i)": floatOf("var_samp($1)"), "stddev_pop(%i)": floatOf("stddev_pop($1)"),
	"stddev(%d)":   floatOf("stddev($1)"),
	"var_samp(%d)": floatOf("var_samp($1)"),
	// Of what ties, the least or the greatest value; NULL only where there is no other.
	"avg(NULL)":                                 "",
	"sem(%q)":                                   "stddev_pop($1) FILTER (WHERE $F) / sqrt(nullif(count($1) FILTER (WHERE $F), 0))",
	"first(%i ORDER BY n)":                      "(array_agg($1 ORDER BY n) FILTER (WHERE $F))[1]",
	"last(%s ORDER BY n DESC)":                  "(array_agg(CAST($1 AS text) ORDER BY n) FILTER (WHERE $F))[1]",
	"arbitrary(%b ORDER BY n)":                  "(array_agg($1 ORDER BY n) FILTER (WHERE $F))[1]",
	"any_value(%i ORDER BY n DESC)":             "(array_agg($1 ORDER BY n DESC) FILTER (WHERE $F AND $1 IS NOT NULL))[1]",
	"first_value(n ORDER BY nullif(n, 3) DESC)": "(array_agg(n ORDER BY nullif(n, 3) DESC) FILTER (WHERE $F))[1]",
	"last_value(n ORDER BY nullif(n, 3))":       "(array_agg(n ORDER BY nullif(n, 3) DESC) FILTER (WHERE $F))[1]",
	"min_by(%i, j)":                             "(array_agg($1 ORDER BY j, $1 NULLS LAST) FILTER (WHERE $F))[1]",
	"max_by(%s, j)": "(array_agg(CAST($1 AS text) ORDER BY j DESC, CAST($1 AS text) DESC NULLS LAST) FILTER " +
		"(WHERE $F))[1]",
	"min_by(%s, f)": "CASE WHEN count(f) FILTER (WHERE $F) > 0 THEN (array_agg(CAST($1 AS text) ORDER BY f, CAST($1 " +
		"AS text) NULLS LAST) FILTER (WHERE $F))[1] END",
	"max_by(d, i)": "CASE WHEN count(i) FILTER (WHERE $F) > 0 THEN (array_agg(d ORDER BY i DESC NULLS LAST, d DESC " +
		"NULLS LAST) FILTER (WHERE $F))[1] END",
	"first(%i, ts)": "(array_agg($1 ORDER BY ts, $1 NULLS LAST) FILTER (WHERE $F))[1]",
	"last(%f, ts)":  "(array_agg($1 ORDER BY ts DESC, $1 DESC NULLS LAST) FILTER (WHERE $F))[1]",
	"last(%b, u)": "CASE WHEN count(u) FILTER (WHERE $F) > 0 THEN (array_agg($1 ORDER BY u DESC NULLS LAST, $1 " +
		"DESC NULLS LAST) FILTER (WHERE $F))[1] END",
}

func floatOf(aggregate string) string {
	return "CAST(" + aggregate + " FILTER (WHERE $F) AS double precision)"
}
