// Command files runs the same SQL over the same files with velo and with DuckDB, on one core and on
// two. The files are in the one billion row format, in CSV with quotes, in JSON lines, and as
// people have them: CSV of ten columns of which three are read, that packed with gzip, that as
// Parquet (once with a query that reads all columns), a web log with fields within fields, and CSV
// of values of which different ones are counted, medians are taken, and a million groups are made.
// They are made first and are in the page cache. Every result is compared with velo's.
//
//	go run ./files --rows 10000000 --json figures.jsonl
//
// Programs that have a Python package run too, if --python names an interpreter that can import
// them (see peers.py):
//
//	python3 -m venv venv && venv/bin/pip install duckdb chdb polars datafusion pyarrow
//	go run ./files --python venv/bin/python --peers duckdb,chdb,polars,datafusion
//
// All read the columns with the types that they are given and make a table of the groups. A run
// goes from opening the file to the last group. The runs alternate, and the median counts.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/internal/filegen"
)

// figure is one contestant on one file.
type figure struct {
	File             string  `json:"file"`
	Program          string  `json:"program"`
	Cores            int     `json:"cores"`
	Rows             int     `json:"rows"`
	Bytes            int64   `json:"bytes"`
	Seconds          float64 `json:"seconds"`
	NsPerRow         float64 `json:"ns_per_row"` // elapsed time multiplied by the cores
	MegabytesPerCore float64 `json:"mb_per_second_per_core"`
	// time of this contestant divided by velo's with as many cores
	Ratio float64 `json:"ratio"`
	// time of the processor, of all threads together, and what it is divided by velo's
	ProcessorSeconds float64 `json:"processor_seconds"`
	ProcessorRatio   float64 `json:"processor_ratio"`
}

// A file is a format with a query over it.
type file struct {
	name  string // also of the file on the disk, up to the first "~"
	write func(w *bufio.Writer, rng *rand.Rand, rows int) error
	velo  source
	duck  string // a table in DuckDB's SQL, with %q for the path
	query string // with %s for the table
}

// path is the name of the file on the disk.
func (f file) path() string {
	name, _, _ := strings.Cut(f.name, "~")
	return name
}

// tickers is how many symbols there are.
const tickers = 1000

var files = []file{
	{
		"measurements.txt", writeMeasurements,
		source{columns: "city text not null, celsius double precision not null", delimiter: ';'},
		"read_csv('%s', header=false, delim=';', quote='', columns={'city':'VARCHAR','celsius':'DOUBLE'})",
		"SELECT city, min(celsius) AS low, avg(celsius) AS mean, max(celsius) AS high FROM %s GROUP BY city",
	},
	{
		"trades.csv", writeTrades(tradeCSV),
		source{columns: tradeColumns, delimiter: ',', quoted: true, header: true},
		"read_csv('%s', header=true, delim=',', quote='\"', escape='\"', " +
			"columns={'symbol':'VARCHAR','price':'DOUBLE','size':'BIGINT','at':'TIMESTAMP','note':'VARCHAR'})",
		tradeQuery,
	},
	{
		"trades.ndjson", writeTrades(tradeJSON),
		source{columns: tradeColumns, json: true},
		"read_json('%s', format='newline_delimited', " +
			"columns={'symbol':'VARCHAR','price':'DOUBLE','size':'BIGINT','at':'TIMESTAMP','note':'VARCHAR'})",
		tradeQuery,
	},
	{"trades10.csv", writeWide, wideSource, wideDuck, wideQuery},
	{"trades10.csv.gz", writePacked(writeWide), wideSource, wideDuck, wideQuery},
	{"trades10.parquet", writeParquet, wideSource, "read_parquet('%s')", wideQuery},
	{
		"trades10-all.parquet", writeParquet, wideSource, "read_parquet('%s')",
		"SELECT venue, min(price + fee::double precision) AS low, avg(price * size) AS mean, max(id + length(note)) AS high " +
			"FROM %s WHERE side = 'buy' AND account <> 'A1' AND \"at\" > timestamp '2001-01-01 00:00:00' GROUP BY venue",
	},
	{
		"weblog.ndjson", writeWebLog,
		source{columns: filegen.WebLogColumns, json: true},
		"(SELECT *, request.method AS \"request.method\" FROM read_json('%s', format='newline_delimited', " +
			"columns={'at':'TIMESTAMP','host':'VARCHAR','request':'STRUCT(method VARCHAR)','status':'BIGINT'," +
			"'bytes':'BIGINT','duration':'DOUBLE','user':'VARCHAR','agent':'VARCHAR'}))",
		"SELECT host, min(duration) AS low, avg(duration) AS mean, max(bytes) AS high FROM %s " +
			"WHERE \"request.method\" = 'GET' GROUP BY host",
	},
	{
		"values.csv~different-texts", writeValues, valueSource, valueDuck,
		"SELECT g, count(DISTINCT t)::double precision AS low, 0::double precision AS mean, count(*) AS high FROM %s " +
			"GROUP BY g",
	},
	{
		"values.csv~different-numbers", writeValues, valueSource, valueDuck,
		"SELECT g, count(DISTINCT n)::double precision AS low, 0::double precision AS mean, count(*) AS high FROM %s " +
			"GROUP BY g",
	},
	{
		"values.csv~median", writeValues, valueSource, valueDuck,
		"SELECT g, min(x) AS low, median(x) AS mean, count(*) AS high FROM %s GROUP BY g",
	},
	{
		"values.csv~million-groups", writeValues, valueSource, valueDuck,
		"SELECT k, min(x) AS low, avg(x) AS mean, max(n) AS high FROM %s GROUP BY k",
	},
}

// valueSource is how velo reads values.csv, and valueDuck how DuckDB does.
var valueSource = source{
	columns:   "g text not null, t text not null, k text not null, n bigint not null, x double precision not null",
	delimiter: ',', quoted: true, header: true,
}

const valueDuck = "read_csv('%s', header=true, delim=',', quote='\"', escape='\"', columns={'g':'VARCHAR'," +
	"'t':'VARCHAR','k':'VARCHAR','n':'BIGINT','x':'DOUBLE'})"

// writeValues writes eight groups, each with 200,000 different texts, a million texts, ten million
// numbers, and prices whose logarithms are about normal.
func writeValues(w *bufio.Writer, rng *rand.Rand, rows int) error {
	fmt.Fprintln(w, "g,t,k,n,x")
	for range rows {
		price := math.Round(1000*math.Exp(3+rng.NormFloat64())) / 1000
		if _, err := fmt.Fprintf(w, "group %d,user-%d,K%d,%d,%v\n", rng.IntN(8), rng.IntN(200_000),
			rng.IntN(1_000_000), rng.IntN(10_000_000), price); err != nil {
			return err
		}
	}
	return nil
}

// wideSource is how velo reads trades with ten columns, and wideDuck how DuckDB does.
var wideSource = source{columns: filegen.TradeColumns, delimiter: ',', quoted: true, header: true}

const (
	wideDuck = "read_csv('%s', header=true, delim=',', quote='\"', escape='\"', columns={'id':'BIGINT'," +
		"'at':'TIMESTAMP','symbol':'VARCHAR','venue':'VARCHAR','side':'VARCHAR','price':'DOUBLE','size':'BIGINT'," +
		"'account':'VARCHAR','fee':'DECIMAL(9,4)','note':'VARCHAR'})"
	wideQuery = "SELECT symbol, min(price) AS low, avg(price) AS mean, max(size) AS high FROM %s GROUP BY symbol"
)

// wideSymbols is how many symbols the trades with ten columns have.
const wideSymbols = 5000

// writeWide writes trades with ten columns, a tenth of them with quotes.
func writeWide(w *bufio.Writer, _ *rand.Rand, rows int) error {
	return filegen.Trades{Rows: rows, Symbols: wideSymbols, QuotedPercent: 10}.Write(w, 1)
}

// writeWebLog writes the log of a web server.
func writeWebLog(w *bufio.Writer, _ *rand.Rand, rows int) error {
	return filegen.WebLog{Rows: rows}.Write(w, 1)
}

// writePacked packs what another function writes with gzip.
func writePacked(write func(*bufio.Writer, *rand.Rand, int) error) func(*bufio.Writer, *rand.Rand, int) error {
	return func(w *bufio.Writer, rng *rand.Rand, rows int) error {
		z := gzip.NewWriter(w)
		plain := bufio.NewWriterSize(z, 1<<20)
		return errors.Join(write(plain, rng, rows), plain.Flush(), z.Close())
	}
}

// writeParquet writes the same as Parquet, as DuckDB does it.
func writeParquet(w *bufio.Writer, rng *rand.Rand, rows int) (err error) {
	dir, err := os.MkdirTemp("", "velo-parquet-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	from, to := filepath.Join(dir, "t.csv"), filepath.Join(dir, "t.parquet")
	if err := makeFile(file{write: writeWide}, from, rows); err != nil {
		return err
	}
	if err := duckExec(fmt.Sprintf("COPY (SELECT * FROM "+wideDuck+") TO '%s' (FORMAT parquet)", from, to)); err != nil {
		return err
	}
	in, err := os.Open(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, in.Close())
}

const (
	tradeColumns = "symbol text not null, price double precision not null, size bigint not null, at timestamp not " +
		"null, note text"
	tradeQuery = "SELECT symbol, min(price) AS low, avg(price) AS mean, max(size) AS high FROM %s WHERE size > 100 " +
		"GROUP BY symbol"
)

func main() {
	rows := flag.Int("rows", 10_000_000, "rows of each file")
	dir := flag.String("dir", "", "where the files are kept; a temporary folder that is removed where it is empty")
	only := flag.String("file", "", "the one file to measure, such as weblog.ndjson; all if it is empty")
	runs := flag.Int("runs", 3, "runs of each, in turn")
	python := flag.String("python", "", "a Python interpreter that has the packages of --peers")
	peers := flag.String("peers", "duckdb,chdb,polars,datafusion", "the packages that run with --python")
	out := flag.String("json", "", "also write a JSON object per line to this file")
	flag.Parse()
	versions := map[string]string{}
	programs := []program{{"velo", runVelo}, {"DuckDB", runDuckDB}}
	if *python != "" {
		programs = programs[:1] // its Python package may be newer
		for _, name := range strings.Split(*peers, ",") {
			programs = append(programs, program{name, runPython(*python, name, versions)})
		}
	}
	if err := run(programs, *rows, *dir, *only, *runs, *out); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
	for _, p := range programs {
		if v := versions[p.name]; v != "" {
			fmt.Println(p.name, v)
		}
	}
}

// A program runs the query of a file on some cores.
type program struct {
	name string
	run  func(f file, path string, cores int) (cost, []string, error)
}

func run(programs []program, rows int, dir, only string, runs int, out string) (err error) {
	if dir == "" {
		dir, err = os.MkdirTemp("", "velo-files-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	var lines *json.Encoder
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		lines = json.NewEncoder(f)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "file\tprogram\tcores\tseconds\tns/row/core\tMB/s/core\tvelo is faster by\tprocessor "+
		"seconds\tvelo takes less by\t\n")
	for _, f := range files {
		if only != "" && f.name != only {
			continue
		}
		figures, err := compare(programs, f, filepath.Join(dir, f.path()), rows, runs)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for _, x := range figures {
			fmt.Fprintf(table, "%s\t%s\t%d\t%.2f\t%.1f\t%.0f\t%.1f\t%.2f\t%.1f\t\n", x.File, x.Program, x.Cores,
				x.Seconds,
				x.NsPerRow, x.MegabytesPerCore, x.Ratio, x.ProcessorSeconds, x.ProcessorRatio)
			if lines != nil {
				if err := lines.Encode(x); err != nil {
					return err
				}
			}
		}
	}
	return table.Flush()
}

// compare makes the file if it does not exist, and runs all contestants over it in turn.
// A program that cannot read the file, or comes to another result, is told and left out.
func compare(programs []program, f file, path string, rows, runs int) (figures []figure, err error) {
	if err := makeFile(f, path, rows); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var want []string
	faulty := map[string]bool{}
	seconds, processor := map[string][]float64{}, map[string][]float64{}
	for range runs {
		for _, cores := range []int{1, 2} {
			for _, p := range programs {
				id := fmt.Sprint(p.name, cores)
				if faulty[p.name] {
					continue
				}
				took, got, err := p.run(f, path, cores)
				if err == nil && want == nil {
					want = got
				}
				if err == nil && !slices.Equal(got, want) {
					err = fmt.Errorf("the result is another: %d groups, expected %d", len(got), len(want))
				}
				if err != nil {
					err = fmt.Errorf("%s with %d cores: %w", p.name, cores, err)
					if p.name == "velo" || p.name == "DuckDB" {
						return nil, err
					}
					fmt.Fprintf(os.Stderr, "files: %s: %v\n", f.name, err)
					faulty[p.name] = true
					continue
				}
				seconds[id] = append(seconds[id], took.elapsed.Seconds())
				processor[id] = append(processor[id], took.processor.Seconds())
			}
		}
	}
	median := func(of map[string][]float64, name string, cores int) float64 {
		s := of[fmt.Sprint(name, cores)]
		slices.Sort(s)
		return s[len(s)/2]
	}
	for _, cores := range []int{1, 2} {
		for _, p := range programs {
			if faulty[p.name] {
				continue
			}
			s, cpu := median(seconds, p.name, cores), median(processor, p.name, cores)
			figures = append(figures, figure{
				f.name, p.name, cores, rows, info.Size(), s, s * 1e9 * float64(cores) / float64(rows),
				float64(info.Size()) / 1e6 / s / float64(cores), s / median(seconds, "velo", cores), cpu,
				cpu / max(median(processor, "velo", cores), 1e-9), // 0 if it is not known
			})
		}
	}
	return figures, nil
}

// makeFile makes a file of this many rows, if it does not exist.
func makeFile(f file, path string, rows int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	to, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(to, 1<<20)
	err = f.write(w, rand.New(rand.NewPCG(1, 1)), rows)
	return errors.Join(err, w.Flush(), to.Close())
}

func writeMeasurements(w *bufio.Writer, rng *rand.Rand, rows int) error {
	var cities []string
	for i := range 413 {
		cities = append(cities, fmt.Sprintf("City of %d%s", i, "abcdefghijklmnop"[:i%16]))
	}
	for range rows {
		v := rng.IntN(1999) - 999
		sign := ""
		if v < 0 {
			sign, v = "-", -v
		}
		if _, err := fmt.Fprintf(w, "%s;%s%d.%d\n", cities[rng.IntN(len(cities))], sign, v/10, v%10); err != nil {
			return err
		}
	}
	return nil
}

// writeTrades writes trades in a format. One in ten has a note that contains a comma and quotes.
func writeTrades(format func(w *bufio.Writer, symbol string, price float64, size int, at time.Time,
	note string) error,
) func(*bufio.Writer, *rand.Rand, int) error {
	return func(w *bufio.Writer, rng *rand.Rand, rows int) error {
		at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
		for i := range rows {
			note := ""
			if i%10 == 0 {
				note = `late, so "they" say`
			}
			price := float64(rng.IntN(100_000)) / 64 // sums of these are exact in any order
			if err := format(w, fmt.Sprintf("S%04d", rng.IntN(tickers)), price, 1+rng.IntN(1000),
				at.Add(time.Duration(i)*time.Millisecond), note); err != nil {
				return err
			}
		}
		return nil
	}
}

func tradeCSV(w *bufio.Writer, symbol string, price float64, size int, at time.Time, note string) error {
	if at.Equal(time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)) {
		fmt.Fprintln(w, "symbol,price,size,at,note")
	}
	if note != "" {
		note = `"late, so ""they"" say"`
	}
	_, err := fmt.Fprintf(w, "%s,%v,%d,%s,%s\n", symbol, price, size, at.Format("2006-01-02T15:04:05.000Z"), note)
	return err
}

func tradeJSON(w *bufio.Writer, symbol string, price float64, size int, at time.Time, note string) error {
	text := "null"
	if note != "" {
		text = `"late, so \"they\" say"`
	}
	_, err := fmt.Fprintf(w, `{"symbol":"%s","price":%v,"size":%d,"at":"%s","note":%s}`+"\n", symbol, price, size,
		at.Format("2006-01-02T15:04:05.000Z"), text)
	return err
}
