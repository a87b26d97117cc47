package perfreport

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/velo-engine/velo/affinity"
)

// Charts are drawn here, in SVG, so a page needs neither a script nor the network.

const (
	chartWidth  = 760.0
	chartHeight = 320.0
	leftMargin  = 80.0
	topMargin   = 16.0
	rightMargin = 150.0 // for the names of the lines
	lowMargin   = 44.0
)

var palette = []string{"#1f6f8b", "#c8553d", "#588157", "#7b4ea3", "#b8860b", "#4a4a4a"}

// A point of a line; low and high are an interval, or both 0.
type point struct{ x, y, low, high float64 }

// A line of a chart.
type line struct {
	name   string
	points []point
	smooth bool // a model: a thin line without dots
}

// An axis has ticks with labels; log says that it is logarithmic.
type axis struct {
	name  string
	log   bool
	ticks []tick
}

type tick struct {
	at   float64
	text string
}

// svgBuilder collects the elements of a drawing.
type svgBuilder struct{ strings.Builder }

func (s *svgBuilder) add(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func (s *svgBuilder) text(x, y float64, anchor, text string) {
	s.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(text))
}

func (s *svgBuilder) open(width, height float64, title string) {
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`,
		width, height, width, height)
	s.add("<title>%s</title>", html.EscapeString(title))
}

// scaleOf maps a range of values to a range of places.
func scaleOf(low, high, from, to float64, log bool) func(float64) float64 {
	if log {
		low, high = math.Log(low), math.Log(high)
	}
	if high <= low {
		high = low + 1
	}
	return func(v float64) float64 {
		if log {
			v = math.Log(v)
		}
		return from + (v-low)/(high-low)*(to-from)
	}
}

// lineChart draws lines. Points that an axis cannot have (0 on a logarithmic one) are left out.
func lineChart(title string, x, y axis, lines []line) string {
	lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, p := range l.points {
			if x.log && p.x <= 0 || y.log && p.y <= 0 {
				continue
			}
			lowX, highX = min(lowX, p.x), max(highX, p.x)
			lowY, highY = min(lowY, p.y), max(highY, p.y, p.high)
		}
	}
	if math.IsInf(lowX, 0) {
		return ""
	}
	if !y.log {
		lowY = 0
	}
	for _, t := range x.ticks {
		lowX, highX = min(lowX, t.at), max(highX, t.at)
	}
	if y.ticks == nil {
		y.ticks = ticks(lowY, highY, y.log)
	}
	for _, t := range y.ticks {
		lowY, highY = min(lowY, t.at), max(highY, t.at)
	}
	toX := scaleOf(lowX, highX, leftMargin, chartWidth-rightMargin, x.log)
	toY := scaleOf(lowY, highY, chartHeight-lowMargin, topMargin, y.log)
	var s svgBuilder
	s.open(chartWidth, chartHeight, title)
	for _, t := range y.ticks {
		s.add(`<path class="grid" d="M%.1f %.1f H%.1f"/>`, leftMargin, toY(t.at), chartWidth-rightMargin)
		s.text(leftMargin-6, toY(t.at)+4, "end", t.text)
	}
	for _, t := range x.ticks {
		s.add(`<path class="grid" d="M%.1f %.1f V%.1f"/>`, toX(t.at), topMargin, chartHeight-lowMargin)
		s.text(toX(t.at), chartHeight-lowMargin+16, "middle", t.text)
	}
	s.text((leftMargin+chartWidth-rightMargin)/2, chartHeight-8, "middle", x.name)
	s.add(`<text transform="translate(14 %.1f) rotate(-90)" text-anchor="middle">%s</text>`,
		(topMargin+chartHeight-lowMargin)/2, html.EscapeString(y.name))
	for i, l := range lines {
		s.line(l, palette[i%len(palette)], toX, toY, x.log, y.log, i)
	}
	s.add("</svg>")
	return s.String()
}

// line draws one line and its name.
func (s *svgBuilder) line(l line, color string, toX, toY func(float64) float64, logX, logY bool, i int) {
	var path strings.Builder
	for _, p := range l.points {
		if logX && p.x <= 0 || logY && p.y <= 0 {
			continue
		}
		word := "L"
		if path.Len() == 0 {
			word = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", word, toX(p.x), toY(p.y))
		if l.smooth {
			continue
		}
		s.add(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, toX(p.x), toY(p.y), color)
		if p.high > p.low && (!logY || p.low > 0) {
			s.add(`<path d="M%.1f %.1f V%.1f" stroke="%s" stroke-width="1.5"/>`, toX(p.x), toY(p.low), toY(p.high),
				color)
		}
	}
	dash := ""
	if l.smooth {
		dash = ` stroke-dasharray="5 4"`
	}
	if path.Len() > 0 {
		s.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`, path.String(), color, dash)
	}
	y := topMargin + 10 + 16*float64(i)
	s.add(`<path d="M%.1f %.1f h16" stroke="%s" stroke-width="2"%s/>`, chartWidth-rightMargin+8, y-4, color, dash)
	s.text(chartWidth-rightMargin+28, y, "start", l.name)
}

// ticks are some round values of a range.
func ticks(low, high float64, log bool) (all []tick) {
	if log {
		for e := math.Floor(math.Log10(low)); ; e++ {
			v := math.Pow(10, e)
			all = append(all, tick{v, short(v)})
			if v >= high {
				return all
			}
		}
	}
	if high <= low {
		return []tick{{low, short(low)}}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, m := range []float64{5, 2} {
		if (high-low)/(step*m) >= 4 {
			step *= m
			break
		}
	}
	for v := math.Floor(low/step) * step; ; v += step {
		all = append(all, tick{v, short(v)})
		if v >= high {
			return all
		}
	}
}

// A bar of a chart, with an interval if high is above low.
type bar struct {
	name             string
	value, low, high float64
	rival            bool
}

// barChart draws bars under each other.
func barChart(title, unit string, bars []bar) string {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.value, b.high)
	}
	if most <= 0 {
		return ""
	}
	const row, names = 24.0, 290.0
	to := scaleOf(0, most, names, chartWidth-90, false)
	var s svgBuilder
	s.open(chartWidth, row*float64(len(bars))+10, title)
	for i, b := range bars {
		y := row * float64(i)
		color := palette[0]
		if b.rival {
			color = "#b0a999"
		}
		s.text(names-8, y+16, "end", b.name)
		s.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="16" fill="%s"/>`, names, y+4, max(0, to(b.value)-names),
			color)
		if b.high > b.low {
			s.add(`<path d="M%.1f %.1f H%.1f" stroke="#222" stroke-width="1.5"/>`, to(b.low), y+12, to(b.high))
		}
		s.text(to(max(b.value, b.high))+6, y+16, "start", short(b.value)+" "+unit)
	}
	s.add("</svg>")
	return s.String()
}

// topologyChart draws the usable CPUs in their cores and caches, with who runs there.
func topologyChart(t affinity.Topology, agents map[int]string) string {
	const box, gap, high = 150.0, 12.0, 64.0
	byLLC := map[int][]affinity.CPU{}
	var order []int
	most := 0
	for _, c := range t.CPUs {
		if byLLC[c.LLC] == nil {
			order = append(order, c.LLC)
		}
		byLLC[c.LLC] = append(byLLC[c.LLC], c)
		most = max(most, len(byLLC[c.LLC]))
	}
	if most == 0 {
		return ""
	}
	perRow := min(most, 5)
	var s svgBuilder
	height := 0.0
	for _, llc := range order {
		height += 34 + float64((len(byLLC[llc])+perRow-1)/perRow)*(high+gap)
	}
	s.open(gap+float64(perRow)*(box+gap)+gap, height+gap, "placement")
	y := 4.0
	for _, llc := range order {
		cpus := byLLC[llc]
		rows := float64((len(cpus) + perRow - 1) / perRow)
		s.add(`<rect class="llc" x="2" y="%.1f" width="%.1f" height="%.1f" rx="6"/>`, y,
			gap+float64(perRow)*(box+gap)+gap-4, 22+rows*(high+gap))
		s.text(gap, y+15, "start", fmt.Sprintf("cache %d, node %d, package %d", llc, cpus[0].Node, cpus[0].Package))
		for i, c := range cpus {
			x, cy := gap+float64(i%perRow)*(box+gap), y+22+float64(i/perRow)*(high+gap)
			class := "cpu"
			if agents[c.ID] != "" {
				class = "cpu busy"
			}
			s.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4"/>`, class, x, cy, box, high)
			s.text(x+6, cy+15, "start", fmt.Sprintf("cpu %d, core %d, thread %d", c.ID, c.Core, c.SMT))
			for j, name := range strings.SplitN(agents[c.ID], "+", 3) {
				s.text(x+6, cy+32+14*float64(j), "start", name)
			}
		}
		y += 34 + rows*(high+gap)
	}
	s.add("</svg>")
	return s.String()
}

// short writes a number with three digits or so.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e9:
		return fmt.Sprintf("%.3g G", v/1e9)
	case a >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.3g k", v/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
