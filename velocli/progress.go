package velocli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/readers/compressed"
)

const (
	// progressEvery is how often the progress is redrawn: often enough for the eye.
	progressEvery = 100 * time.Millisecond

	// barColumns is the width of the bar.
	barColumns = 30

	// Escapes of a terminal.
	eraseLine  = "\r\x1b[K"
	enterView  = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	leaveView  = "\x1b[?25h\x1b[?1049l"
	homeView   = "\x1b[H"
	eraseRight = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// progressAfter is how long a query may take before its progress is shown.
var progressAfter = 200 * time.Millisecond

// extent is how much there is to read: exact in bytes, estimated in records.
type extent struct {
	files   int
	bytes   int64
	records float64 // 0 if it is not known
}

// extent looks at the files, and at the first lines of the first file.
func (f *files) extent() (e extent) {
	for _, path := range f.paths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			e.files++
			e.bytes += info.Size()
		}
	}
	if f.whole != nil {
		e.records = float64(f.whole.Rows())
		return e
	}
	if e.files < len(f.paths) || e.bytes == 0 || f.follow || slices.ContainsFunc(f.paths, isPacked) {
		return e // the number of records cannot be known
	}
	own := *f // a copy, so that what is found here is not kept
	sample, _, err := own.sample(nil)
	if n := bytes.Count(sample, []byte{'\n'}); err == nil && n > 0 {
		e.records = float64(e.bytes) / float64(len(sample)) * float64(n)
	}
	return e
}

// isPacked says whether a file is compressed.
func isPacked(path string) bool { return packedAs(path) != compressed.None }

// packedAs is the format in which a file is compressed.
func packedAs(path string) compressed.Format {
	in, err := os.Open(path)
	if err != nil {
		return compressed.None
	}
	defer in.Close()
	head := make([]byte, compressed.MagicBytes)
	n, _ := io.ReadFull(in, head) // a file that cannot be read is left to its reader to report
	return compressed.Detect(head[:n])
}

// unpacks says whether a file is in a format that takes longer to unpack than to read.
func (f *files) unpacks() bool {
	return f != nil && slices.ContainsFunc(f.paths, func(path string) bool {
		as := packedAs(path)
		return as == compressed.Gzip || as == compressed.Zstd
	})
}

// background calls draw at intervals until it is ended, and then once more.
type background struct{ end, ended chan struct{} }

func inBackground(after, every time.Duration, draw func(), last func()) *background {
	b := &background{make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(b.ended)
		defer last()
		wait := time.NewTimer(after)
		defer wait.Stop()
		for {
			select {
			case <-b.end:
				return
			case <-wait.C:
				draw()
				wait.Reset(every)
			}
		}
	}()
	return b
}

// stop ends the calls and waits for the last one.
func (b *background) stop() {
	if b != nil {
		close(b.end)
		<-b.ended
	}
}

// showProgress shows on a terminal how far an engine has come, and removes that at the end. It
// returns nil if to is not a terminal, or if the input has no known end.
func showProgress(to io.Writer, f *files, eng *engine.Engine) *background {
	if _, _, ok := cli.TerminalSize(to); !ok {
		return nil
	}
	e := f.extent()
	if e.records == 0 {
		return nil
	}
	drawn := false
	return inBackground(progressAfter, progressEvery, func() {
		columns, _, ok := cli.TerminalSize(to)
		if !ok {
			return
		}
		s := eng.Stats()
		fmt.Fprint(to, eraseLine+cut(progressLine(e, s.Counters().In, s.Elapsed), columns-1))
		drawn = true
	}, func() {
		if drawn {
			fmt.Fprint(to, eraseLine)
		}
	})
}

// progressLine says how far the given number of records in the given time has come. The total is an
// estimate, so it never says that everything is done.
func progressLine(e extent, records uint64, elapsed time.Duration) string {
	share := min(float64(records)/e.records, 0.99)
	full := int(share * barColumns)
	line := fmt.Sprintf("%3.0f %% [%s%s] %s records, %s/s", 100*share, strings.Repeat("#", full),
		strings.Repeat("-", barColumns-full),
		count(float64(records)), count(float64(records)/max(elapsed.Seconds(), 1e-9)))
	if records == 0 {
		return line
	}
	left := time.Duration(float64(elapsed) * (1 - share) / share)
	return line + ", about " + roughly(left) + " left"
}

// roughly is a time without digits that mean nothing.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds())+1)
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes())+1)
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// count is a number in about three digits.
func count(n float64) string {
	for _, unit := range []string{"", " k", " M", " G"} {
		switch {
		case n < 10 && unit != "":
			return fmt.Sprintf("%.2f%s", n, unit)
		case n < 100 && unit != "":
			return fmt.Sprintf("%.1f%s", n, unit)
		case n < 1000:
			return fmt.Sprintf("%.0f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.0f T", n)
}

// note writes a message on a line of its own, even if a progress bar is on the line.
func note(to io.Writer, text string) {
	if _, _, ok := cli.TerminalSize(to); ok {
		text = eraseLine + text
	}
	fmt.Fprintln(to, text)
}

// cut is a text shortened to this many columns.
func cut(s string, columns int) string {
	if columns <= 0 {
		return ""
	}
	if utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:columns])
}

// sourceLine says what has been read of a source, for --stats. Its readers are in the table that
// comes before.
func sourceLine(name string, e extent, eng *engine.Engine) string {
	s := eng.Stats()
	in, seconds := float64(s.Counters().In), max(s.Elapsed.Seconds(), 1e-9)
	line := fmt.Sprintf("source %s: %d readers, %.0f records, %s records/s", name, len(s.Readers), in,
		count(in/seconds))
	if e.files > 0 {
		line += fmt.Sprintf("; %d files, %d bytes, %sB/s", e.files, e.bytes, count(float64(e.bytes)/seconds))
	}
	return line
}
