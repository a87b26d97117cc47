package pprofile

import (
	"bufio"
	"cmp"
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ReadPerf reads what perf script prints: a line about each sample, then its stack with the leaf
// first, then an empty line. Each sample counts 1.
func ReadPerf(r io.Reader) ([]Stack, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	sums := map[string]int64{}
	comm := ""
	var names []string
	end := func() {
		if comm != "" && len(names) > 0 {
			names = append(names, comm)
			slices.Reverse(names)
			sums[strings.Join(names, "\n")]++
		}
		comm, names = "", nil
	}
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case len(words) == 0:
			end()
		case comm == "", line[0] != ' ' && line[0] != '\t': // name pid time: ...
			end()
			comm = words[0]
		case len(words) >= 2: // address function+0x12 (file)
			_, err := strconv.ParseUint(words[0], 16, 64)
			if err != nil {
				return nil, fmt.Errorf("pprofile: line %d: %.40q, expected an address and a function", number, line)
			}
			name := strings.Join(words[1:], " ")
			if i := strings.LastIndex(name, " ("); i > 0 {
				name = name[:i]
			}
			if i := strings.LastIndex(name, "+0x"); i > 0 {
				name = name[:i]
			}
			names = append(names, name)
		}
	}
	end()
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(sums) == 0 {
		return nil, fmt.Errorf("pprofile: no stack was found, expected what perf script prints, of perf record -g")
	}
	var stacks []Stack
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		stacks = append(stacks, Stack{strings.Split(key, "\n"), sums[key]})
	}
	return stacks, nil
}

// A frame is a function in a flame graph, with what it called.
type frame struct {
	name  string
	value int64
	calls map[string]*frame
}

const (
	flameWidth  = 1200.0
	flameRow    = 17.0
	flameLetter = 6.6 // width of a letter
	leastWidth  = 0.3 // narrower frames are not drawn
)

// tree joins stacks that begin alike. depth is the length of the longest one.
func tree(stacks []Stack) (root *frame, depth int, err error) {
	root = &frame{name: "all", calls: map[string]*frame{}}
	for _, s := range stacks {
		f := root
		f.value += s.Value
		for _, name := range s.Names {
			next := f.calls[name]
			if next == nil {
				next = &frame{name: name, calls: map[string]*frame{}}
				f.calls[name] = next
			}
			f = next
			f.value += s.Value
		}
		depth = max(depth, len(s.Names))
	}
	if root.value <= 0 {
		return nil, 0, fmt.Errorf("pprofile: the profile has no samples")
	}
	return root, depth, nil
}

// leastShare is the smallest share of all that Text prints.
const leastShare = 0.005

// Text prints stacks as an indented text, the root first: of each function the share of all that
// was found in it and in what it called, and in itself. Smaller shares than leastShare are left
// out. Functions that call one another and nothing else are on one line.
func Text(w io.Writer, stacks []Stack, unit string) error {
	root, _, err := tree(stacks)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%d %s; calls below %.1f %% are left out\n   all     own\n", root.value, unit, 100*leastShare)
	list(out, root, root.value, 0)
	return out.Flush()
}

func list(out io.Writer, f *frame, all int64, depth int) {
	share := func(v int64) float64 { return float64(v) / float64(all) }
	if share(f.value) < leastShare {
		return
	}
	chain := []string{shortName(f.name)}
	for len(f.calls) == 1 {
		var only *frame
		for _, c := range f.calls {
			only = c
		}
		if only.value < f.value {
			break
		}
		f, chain = only, append(chain, shortName(only.name))
	}
	if n := len(chain); n > 3 {
		chain = []string{chain[0], fmt.Sprintf("%d more", n-2), chain[n-1]}
	}
	own := f.value
	for _, c := range f.calls {
		own -= c.value
	}
	fmt.Fprintf(out, "%5.1f %% %5.1f %%  %s%s\n", 100*share(f.value), 100*share(own), strings.Repeat("  ", depth),
		strings.Join(chain, " > "))
	calls := slices.SortedFunc(maps.Values(f.calls), func(a, b *frame) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.name, b.name))
	})
	for _, c := range calls {
		list(out, c, all, depth+1)
	}
}

// shortName is the name of a function without the path of its package.
func shortName(name string) string {
	i := strings.LastIndexByte(name, '/')
	if strings.Contains(name[i+1:], ".") {
		return name[i+1:]
	}
	return name // a label, such as reader/0
}

// Flame draws stacks as an SVG: the root at the bottom, the width of a frame what was found in it
// and in what it called. unit is of the values; title may be empty. There is no script in it; the
// name and share of a frame are shown by the browser when the pointer rests on it.
func Flame(w io.Writer, stacks []Stack, title, unit string) error {
	root, depth, err := tree(stacks)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	height := float64(depth+1)*flameRow + 40
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" `+
		`font-family="monospace" font-size="11">`+"\n", flameWidth, height, flameWidth, height)
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="8" y="18" font-size="14">%s</text>`+"\n",
		html.EscapeString(title))
	draw(out, root, root.value, 0, flameWidth, height-10-flameRow, unit)
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

func draw(out io.Writer, f *frame, all int64, x, width, y float64, unit string) {
	if width < leastWidth {
		return
	}
	name := f.name
	if room := int(width / flameLetter); len(name) > room {
		name = name[:max(0, room-2)]
		if name != "" {
			name += ".."
		}
	}
	fmt.Fprintf(out, "<g><title>%s: %.2f %% (%d %s)</title>", html.EscapeString(f.name),
		100*float64(f.value)/float64(all), f.value, html.EscapeString(unit))
	fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" stroke="#fff" stroke-width="0.5"/>`,
		x, y, width, flameRow-1, color(f.name))
	if name != "" {
		fmt.Fprintf(out, `<text x="%.1f" y="%.1f">%s</text>`, x+2, y+12, html.EscapeString(name))
	}
	fmt.Fprintln(out, "</g>")
	calls := slices.SortedFunc(maps.Values(f.calls), func(a, b *frame) int { return cmp.Compare(a.name, b.name) })
	for _, c := range calls {
		part := width * float64(c.value) / float64(f.value)
		draw(out, c, all, x, part, y-flameRow, unit)
		x += part
	}
}

// color tells the parts of the program apart: velo's stages, the Go runtime, the rest.
func color(name string) string {
	for _, c := range []struct{ part, color string }{
		{"velo/ring", "#7fb3d5"},
		{"velo/core", "#f0a35e"},
		{"velo/readers", "#8ccf8c"},
		{"velo/record", "#b5d99c"},
		{"velo/internal", "#d9a0c8"},
		{"velo/engine", "#e6c84f"},
		{"velo/", "#e8d9a0"},
		{"runtime", "#c0c0c0"},
	} {
		if strings.Contains(name, c.part) {
			return c.color
		}
	}
	return "#dcdcdc"
}
