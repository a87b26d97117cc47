package perfreport

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/velo-engine/velo/affinity"
)

// Bars and the topology are drawn here, in SVG, and lines too for readers without scripts. Colors
// are of the page's style, which has them for light and dark.

const (
	chartWidth  = 760.0
	chartHeight = 320.0
	leftMargin  = 80.0
	topMargin   = 16.0
	rightMargin = 150.0 // for the names of the lines
	lowMargin   = 44.0
)

// A Chart is lines that a page draws: with uPlot if it may run scripts, else as SVG.
type Chart struct {
	X     axis   `json:"x"`
	Y     axis   `json:"y"`
	Lines []line `json:"lines"`
}

// A point of a line; low and high are an interval, or both 0.
type point struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
}

// A line of a chart.
type line struct {
	Name   string  `json:"name"`
	Points []point `json:"points"`
	Smooth bool    `json:"smooth,omitempty"` // a model: a thin line without dots
}

// An axis has ticks with labels; Log says that it is logarithmic.
type axis struct {
	Name  string `json:"name"`
	Log   bool   `json:"log,omitempty"`
	Ticks []tick `json:"ticks"`
	// Unit comes after a value. Percentile says that the percentile p is at 100 / (100 - p).
	Unit       string `json:"unit,omitempty"`
	Percentile bool   `json:"percentile,omitempty"`
}

type tick struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
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

// newChart makes a chart of lines: with ticks that cover all of them, and without points that an
// axis cannot have (0 on a logarithmic one). It is nil if nothing is left.
func newChart(x, y axis, lines []line) *Chart {
	c := &Chart{X: x, Y: y}
	lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		kept := line{Name: l.Name, Smooth: l.Smooth, Points: []point{}}
		for _, p := range l.Points {
			if x.Log && p.X <= 0 || y.Log && p.Y <= 0 {
				continue
			}
			kept.Points = append(kept.Points, p)
			lowX, highX = min(lowX, p.X), max(highX, p.X)
			lowY, highY = min(lowY, p.Y), max(highY, p.Y, p.High)
		}
		c.Lines = append(c.Lines, kept)
	}
	if math.IsInf(lowX, 0) {
		return nil
	}
	if !y.Log {
		lowY = 0
	}
	if c.X.Ticks == nil {
		c.X.Ticks = ticks(lowX, highX, x.Log)
	}
	last := c.X.Ticks[len(c.X.Ticks)-1].At
	if highX > last {
		c.X.Ticks = append(c.X.Ticks, tick{At: highX}) // without a label, so that the axis reaches it
	}
	c.Y.Ticks = ticks(lowY, highY, y.Log)
	return c
}

// svg draws a chart.
func (c *Chart) svg(title string) string {
	x, y := c.X, c.Y
	toX := scaleOf(x.Ticks[0].At, x.Ticks[len(x.Ticks)-1].At, leftMargin, chartWidth-rightMargin, x.Log)
	toY := scaleOf(y.Ticks[0].At, y.Ticks[len(y.Ticks)-1].At, chartHeight-lowMargin, topMargin, y.Log)
	var s svgBuilder
	s.open(chartWidth, chartHeight, title)
	for _, t := range y.Ticks {
		s.add(`<path class="grid" d="M%.1f %.1f H%.1f"/>`, leftMargin, toY(t.At), chartWidth-rightMargin)
		s.text(leftMargin-6, toY(t.At)+4, "end", t.Text)
	}
	for _, t := range x.Ticks {
		s.add(`<path class="grid" d="M%.1f %.1f V%.1f"/>`, toX(t.At), topMargin, chartHeight-lowMargin)
		s.text(toX(t.At), chartHeight-lowMargin+16, "middle", t.Text)
	}
	s.text((leftMargin+chartWidth-rightMargin)/2, chartHeight-8, "middle", x.Name)
	s.add(`<text transform="translate(14 %.1f) rotate(-90)" text-anchor="middle">%s</text>`,
		(topMargin+chartHeight-lowMargin)/2, html.EscapeString(y.Name))
	for i, l := range c.Lines {
		s.line(l, i, toX, toY, y.Log)
	}
	s.add("</svg>")
	return s.String()
}

// line draws one line and its name.
func (s *svgBuilder) line(l line, i int, toX, toY func(float64) float64, logY bool) {
	color := fmt.Sprintf("var(--line%d)", i)
	var path strings.Builder
	for _, p := range l.Points {
		word := "L"
		if path.Len() == 0 {
			word = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", word, toX(p.X), toY(p.Y))
		if l.Smooth {
			continue
		}
		s.add(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, toX(p.X), toY(p.Y), color)
		if p.High > p.Low && (!logY || p.Low > 0) {
			s.add(`<path d="M%.1f %.1f V%.1f" stroke="%s" stroke-width="1.5"/>`, toX(p.X), toY(p.Low), toY(p.High),
				color)
		}
	}
	dash := ""
	if l.Smooth {
		dash = ` stroke-dasharray="5 4"`
	}
	if path.Len() > 0 {
		s.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`, path.String(), color, dash)
	}
	y := topMargin + 10 + 16*float64(i)
	s.add(`<path d="M%.1f %.1f h16" stroke="%s" stroke-width="2"%s/>`, chartWidth-rightMargin+8, y-4, color, dash)
	s.text(chartWidth-rightMargin+28, y, "start", l.Name)
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

// barWidth is the width of the longest bar, without its name and its value. With a short name all
// of it fits a phone.
const barWidth = 190.0

// barChart draws bars under each other.
func barChart(title, unit string, bars []bar) string {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.value, b.high)
	}
	if most <= 0 {
		return ""
	}
	const row, letter = 24.0, 7.0
	names := 0.0
	for _, b := range bars {
		names = max(names, min(16+letter*float64(len(b.name)), 290))
	}
	to := scaleOf(0, most, names, names+barWidth, false)
	var s svgBuilder
	s.open(names+barWidth+70, row*float64(len(bars))+10, title)
	for i, b := range bars {
		y := row * float64(i)
		color := "var(--line0)"
		if b.rival {
			color = "var(--rival)"
		}
		s.text(names-8, y+16, "end", b.name)
		s.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="16" fill="%s"/>`, names, y+4, max(0, to(b.value)-names),
			color)
		if b.high > b.low {
			s.add(`<path d="M%.1f %.1f H%.1f" stroke="currentColor" stroke-width="1.5"/>`, to(b.low), y+12, to(b.high))
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
