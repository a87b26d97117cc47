package metrics

import (
	"io"
	"strconv"
	"strings"
	"sync"
)

// A Format is a text form of metrics.
type Format uint8

// The formats.
const (
	// Prometheus is the text format 0.0.4 of Prometheus.
	Prometheus Format = iota
	// OpenMetrics is OpenMetrics 1.0.
	OpenMetrics
)

// ContentType is the value of the header Content-Type.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// buffers are reused, so that a scrape allocates little.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is how large a buffer may be to be kept.
const maxBuffer = 4 << 20

// Write writes the series of jobs as text. detail includes the series of each ring.
func Write(w io.Writer, format Format, detail bool, jobs ...Job) error {
	return write(w, format, detail, nil, jobs)
}

func write(w io.Writer, format Format, detail bool, process *Process, jobs []Job) error {
	buffer := buffers.Get().(*[]byte)
	text := appendText((*buffer)[:0], format, detail, process, jobs)
	_, err := w.Write(text)
	if cap(text) <= maxBuffer {
		*buffer = text
		buffers.Put(buffer)
	}
	return err
}

// appendText appends the series.
func appendText(text []byte, format Format, detail bool, process *Process, jobs []Job) []byte {
	var last *Family
	Visit(process, jobs, detail, func(f *Family, labels []string, value float64) {
		if f != last {
			text, last = appendHead(text, format, f), f
		}
		text = append(text, f.Name...)
		if f.Kind == Counter {
			text = append(text, "_total"...)
		}
		if len(labels) > 0 {
			text = append(text, '{')
		}
		for i, v := range labels {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(append(text, f.Labels[i]...), '=', '"')
			text = append(appendEscaped(text, v, true), '"')
		}
		if len(labels) > 0 {
			text = append(text, '}')
		}
		text = append(text, ' ')
		text = append(appendValue(text, value), '\n')
	})
	if format == OpenMetrics {
		text = append(text, "# EOF\n"...)
	}
	return text
}

// appendHead appends what is said of a family before its series. In the format of Prometheus a
// counter is called by the name of its series.
func appendHead(text []byte, format Format, f *Family) []byte {
	name := f.Name
	if format == Prometheus {
		name = f.Series()
	}
	line := func(what, rest string) {
		text = append(append(append(text, "# "...), what...), ' ')
		text = append(append(append(append(text, name...), ' '), rest...), '\n')
	}
	line("TYPE", f.Kind.String())
	if format == OpenMetrics && f.Unit != "" {
		line("UNIT", f.Unit)
	}
	line("HELP", string(appendEscaped(nil, f.Help, format == OpenMetrics)))
	return text
}

// appendEscaped escapes a label value, or a help text. Bytes that are no UTF-8 become U+FFFD.
func appendEscaped(text []byte, s string, quotes bool) []byte {
	if plain(s) {
		return append(text, s...)
	}
	for _, r := range s { // yields U+FFFD for such bytes
		switch {
		case r == '\\':
			text = append(text, '\\', '\\')
		case r == '\n':
			text = append(text, '\\', 'n')
		case r == '"' && quotes:
			text = append(text, '\\', '"')
		default:
			text = append(text, string(r)...)
		}
	}
	return text
}

// plain says whether nothing of a text need be escaped, for most texts that need not.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// appendValue appends a number. Whole numbers are written without an exponent.
func appendValue(text []byte, v float64) []byte {
	const exact = 1 << 53
	if v == float64(int64(v)) && v > -exact && v < exact {
		return strconv.AppendInt(text, int64(v), 10)
	}
	return strconv.AppendFloat(text, v, 'g', -1, 64)
}

// Table is the table of all families in docs/metrics.md.
func Table() string {
	var b strings.Builder
	b.WriteString("| series | kind | labels | |\n|---|---|---|---|\n")
	for i := range families {
		f := &families[i]
		help := f.Help
		if f.values != nil {
			help += " " + f.Labels[len(f.Labels)-1] + ": " + strings.Join(f.values, ", ") + "."
		}
		if f.Detail {
			help += " Only with `?detail`."
		}
		b.WriteString("| `" + f.Series() + "` | " + f.Kind.String() + " | " + strings.Join(f.Labels, ", ") + " | " +
			help + " |\n")
	}
	return b.String()
}
