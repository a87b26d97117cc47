// Package brc has the data of the one billion row challenge: lines of name;value, in which the
// value is a temperature with one decimal. It writes files of such lines, and has an obvious
// program that the engine's results are compared with.
package brc

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A Station is a name and the mean of its values, in tenths of a degree.
type Station struct {
	Name string
	Mean int
}

// stations is the number of built-in stations.
const stations = 413

// MaxName is the largest length of a name in bytes.
const MaxName = 100

// Stations returns the built-in stations. Their names are invented, have 3 to 26 bytes and are
// partly not ASCII. Their means are from -15 to 35 degrees. They are always the same.
func Stations() []Station {
	first := []string{
		"Al", "Bren", "Cor", "Dun", "Esk", "Fal", "Gor", "Hul", "Iv", "Jor", "Kess", "Lum", "Mor", "Nor",
		"Ost", "Pel", "Quin", "Ros", "Sør", "Tal", "Ulm", "Vår", "Wex", "Yar", "Zé", "Ång", "Çal", "Łom", "Št",
	}
	second := []string{"a", "e", "i", "o", "u", "ai", "ei", "ü", "ó", "ia"}
	last := []string{
		"by", "dam", "den", "field", "ford", "grad", "ham", "ia", "kirk", "lund", "minster", "nes",
		"polis", "ra", "stad", "ton", "tsk", "vik", "wick", "zen", "", "ñez", "hausen",
	}
	before := []string{"Port ", "New ", "Saint ", "Upper ", "El "}
	after := []string{" Bay", " on the Hill", "-les-Bains"}
	rng := rand.New(rand.NewPCG(413, 1))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	seen := map[string]bool{}
	var all []Station
	for len(all) < stations {
		name := pick(first) + pick(second) + pick(last)
		switch rng.IntN(20) { // most names are one word
		case 0:
			name = pick(before) + name
		case 1:
			name += pick(after)
		}
		if len(name) < 3 || len(name) > 26 || seen[name] {
			continue
		}
		seen[name] = true
		all = append(all, Station{name, rng.IntN(501) - 150})
	}
	return all
}

// ReadStations reads lines of name;mean. The error names the line.
func ReadStations(r io.Reader) ([]Station, error) {
	var all []Station
	scan := bufio.NewScanner(r)
	for line := 1; scan.Scan(); line++ {
		text := strings.TrimSuffix(scan.Text(), "\r")
		name, mean, ok := strings.Cut(text, ";")
		if !ok || name == "" || len(name) > MaxName {
			return nil, fmt.Errorf("brc: line %d: %.120q, expected name;mean with a name of 1 to %d bytes", line, text,
				MaxName)
		}
		f, err := strconv.ParseFloat(mean, 64)
		if err != nil || !(math.Abs(f) < 100) {
			return nil, fmt.Errorf("brc: line %d: the mean %.40q is not a number between -100 and 100", line, mean)
		}
		all = append(all, Station{name, int(math.Round(10 * f))})
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("brc: %w", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("brc: no stations")
	}
	return all, nil
}

// Write writes lines of stations drawn at random. There are as many lines as rows says. The values
// are distributed normally around the mean with a standard deviation of 10, between -99.9 and 99.9.
// The same arguments write the same bytes.
func Write(w io.Writer, rows int64, seed uint64, stations []Station) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	// Values are drawn from a table of deviations, so that a line takes one random number and 20
	// ns.
	var deviations [4096]int
	for i := range deviations {
		deviations[i] = int(math.Round(100 * rng.NormFloat64()))
	}
	var values [1999][]byte // -99.9 to 99.9 as text
	for i := range values {
		values[i] = append(appendTenths(nil, int64(i)-999), '\n')
	}
	buf := make([]byte, 0, 1<<16)
	for range rows {
		r := rng.Uint64()
		s := &stations[r>>12%uint64(len(stations))]
		v := s.Mean + deviations[r%uint64(len(deviations))]
		v = min(max(v, -999), 999)
		buf = append(buf, s.Name...)
		buf = append(buf, ';')
		buf = append(buf, values[v+999]...)
		if len(buf) > cap(buf)-2*MaxName {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}

// appendTenths appends a number of tenths as a number with one decimal.
func appendTenths(to []byte, v int64) []byte {
	if v < 0 {
		to = append(to, '-')
		v = -v
	}
	to = strconv.AppendInt(to, v/10, 10)
	return append(to, '.', byte('0'+v%10))
}

// Reference reads lines of name;value and computes the result of the challenge in the most obvious
// way: {name=min/mean/max, ...}, sorted by the bytes of the name, with one decimal, and with the
// mean rounded half up.
func Reference(r io.Reader) (string, error) {
	type group struct{ n, sum, min, max int64 }
	groups := map[string]*group{}
	all, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	for i, line := range bytes.Split(all, []byte{'\n'}) {
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		name, value, ok := strings.Cut(string(line), ";")
		f, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			return "", fmt.Errorf("brc: line %d: %q", i+1, line)
		}
		v := int64(math.Round(10 * f))
		g := groups[name]
		if g == nil {
			g = &group{min: v, max: v}
			groups[name] = g
		}
		g.n++
		g.sum += v
		g.min, g.max = min(g.min, v), max(g.max, v)
	}
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	out := []byte{'{'}
	for i, name := range names {
		g := groups[name]
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(out, name...)
		out = append(out, '=')
		out = append(appendTenths(out, g.min), '/')
		// The mean in tenths is floor(sum/n + 1/2).
		twice, den := 2*g.sum+g.n, 2*g.n
		mean := twice / den
		if twice%den < 0 {
			mean--
		}
		out = append(appendTenths(out, mean), '/')
		out = appendTenths(out, g.max)
	}
	return string(append(out, '}')), nil
}
