package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	httppprof "net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"time"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/internal/pprofile"
)

// profiling are the flags of profiles. They cover the measured parts of all runs and nothing else:
// not the making of records, the building of tables, warm-ups and checks.
type profiling struct {
	CPUProfile   string `name:"cpuprofile" help:"Write a CPU profile of the measured parts." type:"path"`
	MemProfile   string `name:"memprofile" help:"Write what the measured parts allocated." type:"path"`
	MutexProfile string `name:"mutexprofile" help:"Write where the measured parts waited for mutexes." type:"path"`
	Trace        string `name:"trace" help:"Write an execution trace of each measured part." type:"path"`
	Pprof        string `help:"Serve net/http/pprof at this loopback address while it runs." placeholder:"HOST:PORT"`
}

// any says whether any profile is asked for.
func (p *profiling) any() bool { return *p != profiling{} }

// profiles take the profiles that are asked for. A nil *profiles takes none.
type profiles struct {
	asked  profiling
	cpu    []*pprofile.Profile
	memory []*pprofile.Profile
	mutex  []*pprofile.Profile
	traced bytes.Buffer
	traces []string // the files with the traces of the parts so far
	err    error
	server *http.Server
}

// check returns an error if a file cannot be written or the address is none, so that it is not
// found out after everything was measured.
func (p profiling) check() error {
	for _, name := range []string{p.CPUProfile, p.MemProfile, p.MutexProfile, p.Trace} {
		if name == "" {
			continue
		}
		err := writable(name)
		if err != nil {
			return err
		}
	}
	if p.Pprof == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(p.Pprof)
	if err != nil {
		return cli.Misusef("--pprof %s: expected a loopback address such as 127.0.0.1:6060: %w", p.Pprof, err)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return cli.Misusef("--pprof %s: expected a loopback address such as 127.0.0.1:6060, because profiles are "+
			"served to everybody who asks", p.Pprof)
	}
	return nil
}

// writable returns an error if a file cannot be written. What is in it stays.
func writable(name string) error {
	_, missing := os.Stat(name)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	err = f.Close()
	if missing != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// start prepares what is asked for. finish must be called.
func (p profiling) start(messages io.Writer) (*profiles, error) {
	if !p.any() {
		return nil, nil
	}
	s := &profiles{asked: p}
	if p.MutexProfile != "" {
		runtime.SetMutexProfileFraction(1)
	}
	if p.Pprof == "" {
		return s, nil
	}
	listener, err := net.Listen("tcp", p.Pprof)
	if err != nil {
		return nil, fmt.Errorf("--pprof %s: %w", p.Pprof, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", httppprof.Index)
	mux.HandleFunc("/debug/pprof/profile", httppprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", httppprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", httppprof.Trace)
	fmt.Fprintf(messages, "profiles at http://%s/debug/pprof/\n", listener.Addr())
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		err := s.server.Serve(listener)
		if !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(messages, "--pprof: %v\n", err)
		}
	}()
	return s, nil
}

// begin begins a measured part.
func (s *profiles) begin() (end func()) {
	if s == nil {
		return func() {}
	}
	var memory, mutex *pprofile.Profile
	if s.asked.MemProfile != "" {
		memory = s.sum("allocs")
	}
	if s.asked.MutexProfile != "" {
		mutex = s.sum("mutex")
	}
	var cpu bytes.Buffer
	if s.asked.CPUProfile != "" {
		s.fail(pprof.StartCPUProfile(&cpu))
	}
	if s.asked.Trace != "" {
		s.traced.Reset()
		s.fail(trace.Start(&s.traced))
	}
	return func() {
		if s.asked.Trace != "" {
			trace.Stop()
		}
		if s.asked.CPUProfile != "" {
			pprof.StopCPUProfile()
			s.cpu = append(s.cpu, s.read(&cpu))
		}
		if memory != nil {
			s.memory = append(s.memory, s.since("allocs", memory))
		}
		if mutex != nil {
			s.mutex = append(s.mutex, s.since("mutex", mutex))
		}
		if s.asked.Trace != "" {
			s.writeTrace()
		}
	}
}

func (s *profiles) fail(err error) {
	if err != nil && s.err == nil {
		s.err = err
	}
}

func (s *profiles) read(b *bytes.Buffer) *pprofile.Profile {
	p, err := pprofile.Read(b)
	s.fail(err)
	return p
}

// sum is a profile that the runtime sums up since the process began.
func (s *profiles) sum(name string) *pprofile.Profile {
	if name == "allocs" { // which is up to two collections old
		runtime.GC()
		runtime.GC()
	}
	var b bytes.Buffer
	s.fail(pprof.Lookup(name).WriteTo(&b, 0))
	return s.read(&b)
}

func (s *profiles) since(name string, before *pprofile.Profile) *pprofile.Profile {
	after := s.sum(name)
	if s.err != nil {
		return nil
	}
	d, err := pprofile.Subtract(after, before)
	s.fail(err)
	return d
}

// finish writes the files.
func (s *profiles) finish() error {
	if s == nil {
		return nil
	}
	if s.server != nil {
		s.server.Close()
	}
	if s.asked.MutexProfile != "" {
		runtime.SetMutexProfileFraction(0)
	}
	if s.err != nil {
		return fmt.Errorf("profiles: %w", s.err)
	}
	var errs []error
	for _, f := range []struct {
		name  string
		parts []*pprofile.Profile
	}{{s.asked.CPUProfile, s.cpu}, {s.asked.MemProfile, s.memory}, {s.asked.MutexProfile, s.mutex}} {
		if f.name == "" || len(f.parts) == 0 {
			continue
		}
		sum, err := pprofile.Add(f.parts...)
		if err == nil {
			err = writeFile(f.name, sum.Write)
		}
		errs = append(errs, err)
	}
	if len(s.traces) == 1 {
		errs = append(errs, moveFile(s.traces[0], s.asked.Trace))
	}
	return errors.Join(errs...)
}

// writeTrace writes the trace of a measured part. Traces cannot be added up, so each part has a
// file of its own. It is written after the part, so it does not disturb it.
func (s *profiles) writeTrace() {
	ext := filepath.Ext(s.asked.Trace)
	name := fmt.Sprintf("%s-%d%s", strings.TrimSuffix(s.asked.Trace, ext), len(s.traces)+1, ext)
	s.fail(writeFile(name, func(w io.Writer) error {
		_, err := s.traced.WriteTo(w)
		return err
	}))
	s.traces = append(s.traces, name)
}

// moveFile gives a file another name. What has that name and is no ordinary file, such as a device,
// a pipe or a link, stays: the content is written to it.
func moveFile(from, to string) error {
	info, err := os.Lstat(to)
	if err != nil || info.Mode().IsRegular() {
		return os.Rename(from, to)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	err = writeFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
	return errors.Join(err, in.Close(), os.Remove(from))
}

// writeFile writes a file, and removes it if that fails and it is a file and no device.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	regular := err == nil && info.Mode().IsRegular()
	err = errors.Join(write(f), f.Close())
	if err != nil && regular {
		os.Remove(name)
	}
	return err
}

// flameCmd draws a profile.
type flameCmd struct {
	File  string `arg:"" help:"A pprof profile, or what perf script prints." type:"path"`
	Out   string `help:"The SVG to write; - is standard output. It is flame.svg without it."`
	Value string `help:"Which value of a profile, such as cpu or alloc_space; the last one without it."`
	Label string `help:"The label that stacks begin with; velo names its agents so." default:"velo"`
	Text  bool   `help:"Print a text for a terminal instead: what each function calls, and its share."`
	JSON  bool   `name:"json" help:"Print JSON objects instead, one for each stack, the root first."`
	Top   int    `help:"Also list the N functions that have most of the samples themselves." default:"0"`
}

func (c *flameCmd) Run(std streams) error {
	switch {
	case c.Text && c.JSON, (c.Text || c.JSON) && c.Out != "":
		return cli.Misusef("--text, --json, --out: expected one of them")
	case c.JSON && c.Top > 0:
		return cli.Misusef("--json: there is no --top with it")
	}
	stacks, unit, err := c.stacks()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Top > 0 {
		top, sum := pprofile.Top(stacks)
		for _, f := range top[:min(c.Top, len(top))] {
			fmt.Fprintf(std.out, "%6.2f %%  %s\n", 100*float64(f.Value)/float64(sum), f.Names[0])
		}
	}
	switch {
	case c.Text:
		return pprofile.Text(std.out, stacks, unit)
	case c.JSON:
		return printStacks(std.out, stacks, unit)
	}
	if c.Out == "" {
		c.Out = "flame.svg"
	}
	draw := func(w io.Writer) error { return pprofile.Flame(w, stacks, c.File, unit) }
	if c.Out == "-" {
		return draw(std.out)
	}
	return writeFile(c.Out, draw)
}

// printStacks prints the stacks of a profile as objects.
func printStacks(w io.Writer, stacks []pprofile.Stack, unit string) error {
	out, from := json.NewEncoder(w), newStamp(nil)
	for _, s := range stacks {
		err := out.Encode(struct {
			stamp
			Stack []string `json:"stack"`
			Value int64    `json:"value"`
			Unit  string   `json:"unit"`
		}{from, s.Names, s.Value, unit})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *flameCmd) stacks() (stacks []pprofile.Stack, unit string, err error) {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return nil, "", err
	}
	p, err := pprofile.Read(bytes.NewReader(text))
	if err != nil {
		stacks, perr := pprofile.ReadPerf(bytes.NewReader(text))
		if perr != nil {
			return nil, "", fmt.Errorf("neither a pprof profile (%w) nor the output of perf script (%w)", err, perr)
		}
		return stacks, "samples", nil
	}
	value, err := p.ValueOf(c.Value)
	if err != nil {
		return nil, "", err
	}
	return p.Stacks(value, c.Label), p.Types[value].Unit, nil
}
