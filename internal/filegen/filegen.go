// Package filegen writes files as people have them, for benchmarks: trades as CSV, some of them
// with quotes, and the log of a web server as JSON lines, with fields within fields, escapes, and
// fields that are missing or come in another order. The same seed writes the same file.
package filegen

import (
	"bufio"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// Trades says what the trades are like.
type Trades struct {
	// Rows is how many there are.
	Rows int
	// Symbols is how many different symbols there are.
	Symbols int
	// QuotedPercent is how many rows in a hundred have a note in quotes, with a comma and doubled
	// quotes inside.
	QuotedPercent int
	// AllQuoted says that every text is in quotes.
	AllQuoted bool
}

// TradeColumns are the columns of trades, as CREATE TABLE has them.
const TradeColumns = "id bigint not null, at timestamp not null, symbol text not null, venue text not null, " +
	"side text not null, price double precision not null, size bigint not null, account text, fee decimal(9,4), " +
	"note text"

// tradeHeader is the first line of trades.
const tradeHeader = "id,at,symbol,venue,side,price,size,account,fee,note\n"

var (
	venues = []string{"XNAS", "XNYS", "ARCX", "BATS", "EDGX", "IEXG", "MEMX", "XLON"}
	notes  = []string{"", "late", "odd lot", "opening auction", "crossed with the book", "corrected by the venue"}
	began  = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
)

// Write writes the trades as CSV with a header.
func (t Trades) Write(to io.Writer, seed uint64) error {
	w, rng := bufio.NewWriterSize(to, 1<<20), rand.New(rand.NewPCG(seed, 1))
	if _, err := w.WriteString(tradeHeader); err != nil {
		return err
	}
	var line []byte
	text := func(s string) {
		if t.AllQuoted {
			line = append(append(append(line, '"'), s...), '"', ',')
			return
		}
		line = append(append(line, s...), ',')
	}
	for i := range t.Rows {
		line = strconv.AppendInt(line[:0], int64(1_000_000_000+i), 10)
		line = append(line, ',')
		line = began.Add(time.Duration(i)*time.Millisecond).AppendFormat(line, "2006-01-02T15:04:05.000Z,")
		text("S" + strconv.Itoa(10_000+rng.IntN(t.Symbols)))
		text(venues[rng.IntN(len(venues))])
		text([]string{"buy", "sell"}[rng.IntN(2)])
		// Sums of these prices are exact in any order.
		line = strconv.AppendFloat(line, float64(1+rng.IntN(100_000))/64, 'f', -1, 64)
		line = append(line, ',')
		line = strconv.AppendInt(line, int64(1+rng.IntN(1000)), 10)
		line = append(line, ',')
		text("ACC-" + strconv.Itoa(100_000+rng.IntN(50_000)))
		line = strconv.AppendFloat(line, float64(rng.IntN(10_000))/10_000, 'f', 4, 64)
		line = append(line, ',')
		note := notes[rng.IntN(len(notes))]
		switch {
		case rng.IntN(100) < t.QuotedPercent:
			line = append(line, `"late, so ""they"" say",`...)
		case note == "":
			line = append(line, ',')
		default:
			text(note)
		}
		line[len(line)-1] = '\n'
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// WebLog says what the log is like.
type WebLog struct {
	// Rows is how many lines there are.
	Rows int
	// Flat says that there are no fields within fields: what they have is left out.
	Flat bool
}

// WebLogColumns are the columns of the log that queries read.
const WebLogColumns = `at timestamp not null, host text not null, "request.method" text, status bigint not null, ` +
	`bytes bigint, duration double precision not null, "user" text, agent text`

// FlatLogColumns are the columns of a flat log.
const FlatLogColumns = `at timestamp not null, host text not null, status bigint not null, ` +
	`bytes bigint, duration double precision not null, "user" text, agent text`

var (
	methods = []string{"GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"}
	paths   = []string{"/", "/index.html", "/api/v1/orders?limit=100&after=", "/static/app.js", "/search?q=a%20b"}
	agents  = []string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "curl/8.5.0", "Go-http-client/2.0",
		`Mozilla/5.0 (compatible; \"bot\"; +https:\/\/example.com\/bot)`,
	}
	statuses = []int{200, 200, 200, 200, 200, 304, 301, 404, 500}
)

// Write writes the log as JSON lines. One line in ten has another order of fields, one in ten lacks
// the user, one in four has escapes.
func (l WebLog) Write(to io.Writer, seed uint64) error {
	w, rng := bufio.NewWriterSize(to, 1<<20), rand.New(rand.NewPCG(seed, 2))
	var line []byte
	for i := range l.Rows {
		line = append(line[:0], '{')
		at := began.Add(time.Duration(i) * time.Millisecond)
		reordered := rng.IntN(10) == 0
		if reordered {
			line = appendHost(line, rng)
		}
		line = at.AppendFormat(append(line, `"at":"`...), "2006-01-02T15:04:05.000Z\",")
		if !reordered {
			line = appendHost(line, rng)
		}
		line = append(append(line, `"level":"`...), []string{"info", "warn"}[rng.IntN(2)]...)
		line = append(line, `",`...)
		if !l.Flat {
			line = appendRequest(line, rng)
		}
		line = strconv.AppendInt(append(line, `"status":`...), int64(statuses[rng.IntN(len(statuses))]), 10)
		line = strconv.AppendInt(append(line, `,"bytes":`...), int64(rng.IntN(100_000)), 10)
		line = strconv.AppendFloat(append(line, `,"duration":`...), float64(1+rng.IntN(4096))/4096, 'f', -1, 64)
		if rng.IntN(10) > 0 {
			line = strconv.AppendInt(append(line, `,"user":"u`...), int64(rng.IntN(20_000)), 10)
			line = append(line, '"')
		}
		line = append(append(line, `,"agent":"`...), agents[rng.IntN(len(agents))]...)
		line = append(line, `","referer":"https://example.com/a/b/c","trace":"`...)
		line = strconv.AppendUint(line, rng.Uint64(), 16)
		line = append(line, '"')
		if !l.Flat {
			line = append(line, `,"tags":["web","prod",1]`...)
		}
		line = append(line, `,"cached":false}`+"\n"...)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

func appendHost(line []byte, rng *rand.Rand) []byte {
	line = strconv.AppendInt(append(line, `"host":"web-`...), int64(rng.IntN(500)), 10)
	return append(line, `",`...)
}

func appendRequest(line []byte, rng *rand.Rand) []byte {
	line = append(append(line, `"request":{"method":"`...), methods[rng.IntN(len(methods))]...)
	line = append(append(line, `","path":"`...), paths[rng.IntN(len(paths))]...)
	line = append(line, `","remote_ip":"10.0.`...)
	line = strconv.AppendInt(line, int64(rng.IntN(256)), 10)
	line = append(line, `.7","headers":{"accept":"*/*","x":[1,2]}},`...)
	return line
}
