package pprofile

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	sink  []byte
	loops int
)

//go:noinline
func allocate(n int) {
	for range n {
		sink = make([]byte, 4096)
	}
}

//go:noinline
func spin(d time.Duration) (n int) {
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
	}
	return n
}

// allocs is the runtime's profile of allocations.
func allocs(t *testing.T) *Profile {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var b bytes.Buffer
	if err := pprof.Lookup("allocs").WriteTo(&b, 0); err != nil {
		t.Fatal(err)
	}
	p, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// inFunction sums a value of the stacks with a function.
func inFunction(p *Profile, value int, name string) (sum int64) {
	for _, s := range p.Stacks(value, "") {
		if slices.ContainsFunc(s.Names, func(n string) bool { return strings.HasSuffix(n, name) }) {
			sum += s.Value
		}
	}
	return sum
}

// Goal: the difference of two profiles has what came between them and nothing else.
func TestSubtract(t *testing.T) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1
	allocate(1000)
	before := allocs(t)
	allocate(200)
	d, err := Subtract(allocs(t), before)
	if err != nil {
		t.Fatal(err)
	}
	space, err := d.ValueOf("alloc_space")
	if err != nil {
		t.Fatal(err)
	}
	if got := inFunction(d, space, ".allocate"); got != 200*4096 {
		t.Errorf("%d bytes, expected %d", got, 200*4096)
	}
	if _, err := d.ValueOf("x"); err == nil || !strings.Contains(err.Error(), "alloc_space") {
		t.Error(err)
	}
	if _, err := Subtract(d, &Profile{}); err == nil {
		t.Error("profiles of different kinds were subtracted")
	}
}

// Goal: what is written is read back the same, by this package and by go tool pprof. Method: the sum of two CPU profiles.
func TestAddAndWrite(t *testing.T) {
	var all []*Profile
	for range 2 {
		var b bytes.Buffer
		if err := pprof.StartCPUProfile(&b); err != nil {
			t.Skip(err) // the test itself is profiled
		}
		pprof.Do(t.Context(), pprof.Labels("agent", "x"), func(context.Context) {
			loops += spin(150 * time.Millisecond)
		})
		pprof.StopCPUProfile()
		p, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	sum, err := Add(all...)
	if err != nil {
		t.Fatal(err)
	}
	parts := inFunction(all[0], 1, ".spin") + inFunction(all[1], 1, ".spin")
	if got := inFunction(sum, 1, ".spin"); got != parts || sum.Duration != all[0].Duration+all[1].Duration {
		t.Errorf("%d of %d ns, %d", got, parts, sum.Duration)
	}
	var b bytes.Buffer
	if err := sum.Write(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(sum.Stacks(1, "agent"), again.Stacks(1, "agent"), func(a, b Stack) bool {
		return a.Value == b.Value && slices.Equal(a.Names, b.Names)
	}) ||
		again.Duration != sum.Duration || again.Period != sum.Period || again.PeriodOf != sum.PeriodOf ||
		len(again.Mappings) != len(sum.Mappings) {
		t.Error("what was read back is not what was written")
	}
	if parts > 0 && !slices.ContainsFunc(again.Stacks(1, "agent"), func(s Stack) bool { return s.Names[0] == "x" }) {
		t.Error("labels are lost")
	}
	if tool, err := exec.LookPath("go"); err == nil && parts > 0 {
		out, err := exec.Command(tool, "tool", "pprof", "-top", file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "pprofile.spin") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if p, err := Add(); p != nil || err != nil {
		t.Error("the sum of nothing")
	}
	if _, err := Add(sum, &Profile{}); err == nil {
		t.Error("profiles of different kinds were added")
	}
	top, total := Top(sum.Stacks(1, ""))
	if total < parts || len(top) == 0 || top[0].Value > total {
		t.Errorf("%v of %d", top, total)
	}
}

// Goal: a file that is no profile, or a part of one, is refused and no panic.
func TestReadRubbish(t *testing.T) {
	p := &Profile{Types: []ValueType{{"cpu", "nanoseconds"}}, Samples: []Sample{{
		Stack: []*Location{{Address: 7, Lines: []Line{{&Function{Name: "f", File: "f.go"}, 3}}}}, Values: []int64{-5},
		Labels: []Label{{Key: "k", Text: "v"}},
	}}}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	e := encoder{strings: map[string]uint64{"": 0}, table: []string{""}}
	raw := e.profile(p)
	for n := range raw {
		Read(bytes.NewReader(raw[:n]))
	}
	for n := range whole {
		if _, err := Read(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("the first %d bytes of %d are taken for a profile", n, len(whole))
		}
	}
	for _, text := range []string{"", "no profile", "\x1f\x8b", strings.Repeat("\xff", 100)} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for a profile", text)
		}
	}
	if q, err := Read(bytes.NewReader(whole)); err != nil || q.Samples[0].Values[0] != -5 ||
		q.Samples[0].Labels[0].Text != "v" {
		t.Errorf("%+v %v", q, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) { Read(bytes.NewReader(b)) })
}

// wellFormed checks that a text is XML.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: a flame graph has each function with its share, is XML whatever names are like, and refers to nothing outside of it.
func TestFlame(t *testing.T) {
	var b strings.Builder
	stacks := []Stack{
		{[]string{"main", "velo/core.f<int>"}, 75},
		{[]string{"main", `g & "h"`}, 20},
		{[]string{"other"}, 5},
	}
	if err := Flame(&b, stacks, "a <title>", "ms"); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	wellFormed(t, text)
	for _, want := range []string{
		"main: 95.00 % (95 ms)", "velo/core.f&lt;int&gt;: 75.00 %", "a &lt;title&gt;",
		"#f0a35e",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "href") {
		t.Error("it has a script or a link")
	}
	if err := Flame(io.Discard, nil, "", ""); err == nil {
		t.Error("a flame graph of nothing")
	}
}

// Goal: stacks of perf script are read, with names that have blanks and parentheses.
func TestReadPerf(t *testing.T) {
	stacks, err := ReadPerf(strings.NewReader(`# captured on: x
velo 123 [000] 1.5:     250000 cpu-clock:
	  4a2b3c github.com/x/core.(*Router).fold+0x1c (/bin/velo)
	  4a2b00 main.main (/bin/velo)

velo 123 [001] 1.6:     250000 cpu-clock:
	  4a2b3c github.com/x/core.(*Router).fold+0x20 (/bin/velo)
	  4a2b00 main.main (/bin/velo)
velo 124 [001] 1.7:     250000 cpu-clock:
	ffffffff81 [unknown] ([kernel.kallsyms])
`))
	if err != nil || len(stacks) != 2 || stacks[1].Value != 2 ||
		!slices.Equal(stacks[1].Names, []string{"velo", "main.main", "github.com/x/core.(*Router).fold"}) {
		t.Errorf("%v %+v", err, stacks)
	}
	if _, err := ReadPerf(strings.NewReader("hello\n")); err == nil || !strings.Contains(err.Error(), "perf script") {
		t.Error(err)
	}
}
