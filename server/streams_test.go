package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/server/job"
)

// failingJobs is a Runner of jobs that cannot be started.
type failingJobs struct{}

func (failingJobs) Compile(string, string, job.Options) (job.Program, error) {
	return failingJob{}, nil
}

type failingJob struct{}

func (failingJob) Objects() []job.Object     { return nil }
func (failingJob) Memory() int64             { return 0 }
func (failingJob) Lost(job.Program) job.Loss { return job.Loss{} }
func (failingJob) Start(context.Context, string, bool, func(string)) (job.Running, error) {
	return nil, fmt.Errorf("there is no door: %w", job.ErrPermanent)
}

// schema is a part of the description: what a value is.
type schema struct {
	Ref        string `json:"$ref"`
	Type       any    // a string, or several
	Format     string
	Required   []string
	Properties map[string]schema
	Items      *schema
}

// described is the description as far as streams need it.
type described struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct {
				Events map[string]schema `json:"x-events"`
			}
		}
	}
	Components struct{ Schemas map[string]schema }
}

// check compares a value with what is said of it.
func (d *described) check(at string, v any, s schema) error {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		to, ok := d.Components.Schemas[name]
		if !ok {
			return fmt.Errorf("%s: there is no %s", at, s.Ref)
		}
		return d.check(at, v, to)
	}
	fits := true
	switch s.Type {
	case "string":
		var text string
		text, fits = v.(string)
		if fits && s.Format == "date-time" {
			_, err := time.Parse(time.RFC3339Nano, text)
			fits = err == nil
		}
	case "boolean":
		_, fits = v.(bool)
	case "integer":
		var n json.Number
		n, fits = v.(json.Number)
		if fits {
			_, err := strconv.ParseUint(n.String(), 10, 64)
			fits = err == nil
		}
	case "array":
		var all []any
		all, fits = v.([]any)
		for i, one := range all {
			err := d.check(fmt.Sprintf("%s[%d]", at, i), one, *s.Items)
			if err != nil {
				return err
			}
		}
	case "object":
		var fields map[string]any
		fields, fits = v.(map[string]any)
		for _, name := range s.Required {
			if _, ok := fields[name]; !ok {
				return fmt.Errorf("%s: there is no %s", at, name)
			}
		}
		for name, one := range fields {
			of, ok := s.Properties[name]
			if !ok {
				if s.Properties == nil {
					continue // any object
				}
				return fmt.Errorf("%s: %s is not described", at, name)
			}
			err := d.check(at+"."+name, one, of)
			if err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%s: the type %v is not known", at, s.Type)
	}
	if !fits {
		return fmt.Errorf("%s: %v is described as %v %s", at, v, s.Type, s.Format)
	}
	return nil
}

// frame is a server-sent event.
type frame struct{ id, name, data string }

// frames reads a stream until it ends, and refuses what is no stream of events.
func frames(t *testing.T, r *http.Response, to chan<- frame) {
	defer close(to)
	var f frame
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		key, value, ok := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			if f.id == "" || f.name == "" || f.data == "" {
				t.Errorf("an event with id %q, name %q and data %q", f.id, f.name, f.data)
			}
			to <- f
			f = frame{}
		case strings.HasPrefix(lines.Text(), ":"):
		case ok && key == "id":
			f.id = value
		case ok && key == "event":
			f.name = value
		case ok && key == "data":
			f.data = value
		default:
			t.Errorf("the line %q is no part of an event", lines.Text())
		}
	}
}

// Goal: every path that streams, streams what the description says: each event has an ID, a name
// that is described, and data of the form that is described, and each name that is described comes.
// After an ID that a client had last, nothing is sent twice. A path that is added to the
// description needs a line here. Method: the paths of openapi.json with text/event-stream, and for
// each something that has its events happen.
func TestDescribedStreams(t *testing.T) {
	dir := t.TempDir()
	// The events of before the newest are gone, so a client that asks for them is told.
	must(t, os.WriteFile(filepath.Join(dir, "events.ndjson"),
		[]byte(`{"id":100,"time":"2026-03-02T09:30:00Z","job":"door","cause":"x"}`+"\n"), 0o600))
	jobs, err := job.Open(job.Config{Dir: dir, Runner: failingJobs{}})
	must(t, err)
	defer func() { must(t, jobs.Close()) }()
	s, lane, e := mounted(t, func(c *Config) { c.Jobs, c.Runner = jobs, failingJobs{} })
	web := httptest.NewServer(s)
	defer web.Close()
	send := func() {
		must(t, lane.Send(t.Context(), trade{"A", 5, time.Unix(0, 0)}))
		must(t, e.Sync(t.Context()))
	}
	_, _ = jobs.Put(t.Context(), "door", "x", job.PutOptions{}) // it fails, and there is an event of that
	happen := map[string]struct {
		query string
		do    func(seen string) // called before each event is waited for, with the name of the last
	}{
		"/v1/views/{view}/changes": {"?every=100ms", func(seen string) {
			send()
			if seen == "change" {
				s.cfg.Views.Remove("volumes")
			}
		}},
		"/v1/jobs/{job}/events": {"?after=3", func(string) {}},
		"/v1/events":            {"?after=3", func(string) {}},
	}
	var doc described
	must(t, json.Unmarshal(openAPI, &doc))
	streams := 0
	for path, methods := range doc.Paths {
		content, ok := methods["get"].Responses["200"].Content["text/event-stream"]
		if !ok {
			continue
		}
		streams++
		one, ok := happen[path]
		if !ok || len(content.Events) == 0 {
			t.Errorf("%s: the test does not know its events; they are described as %v", path, content.Events)
			continue
		}
		t.Run(path, func(t *testing.T) {
			at := web.URL + strings.NewReplacer("{view}", "volumes", "{job}", "door").Replace(path)
			last := stream(t, &doc, at+one.query, "", content.Events, one.do)
			if strings.HasSuffix(path, "/events") {
				again := streamed(t, at, last)
				_, err := jobs.Put(t.Context(), "door", "y"+path, job.PutOptions{})
				if err == nil {
					t.Error("the job runs")
				}
				f := <-again
				was, _ := strconv.Atoi(last)
				is, _ := strconv.Atoi(f.id)
				if f.name != "event" || is != was+1 {
					t.Errorf("after the ID %s comes %v", last, f)
				}
			}
		})
	}
	if streams != len(happen) {
		t.Errorf("%d paths stream, and the test knows %d", streams, len(happen))
	}
}

// streamed opens a stream after an ID. It ends with the test.
func streamed(t *testing.T, at, last string) <-chan frame {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	must(t, err)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	a, err := http.DefaultClient.Do(r)
	must(t, err)
	kind := a.Header.Get("Content-Type")
	if a.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%s: %d, %s", at, a.StatusCode, kind)
	}
	to := make(chan frame, 100)
	go frames(t, a, to)
	t.Cleanup(func() {
		_ = a.Body.Close()
		for range to { // until it is closed
		}
	})
	return to
}

// stream reads a stream until each of its events has come, and returns the ID of the last one.
func stream(t *testing.T, doc *described, at, last string, events map[string]schema, do func(seen string)) string {
	t.Helper()
	all := streamed(t, at, last)
	var left []string
	for name := range events {
		left = append(left, name)
	}
	seen := ""
	for tooLate := time.After(time.Minute); len(left) > 0; {
		do(seen)
		select {
		case f := <-all:
			of, ok := events[f.name]
			if !ok {
				t.Fatalf("the event %q is not described", f.name)
			}
			_, err := strconv.ParseUint(f.id, 10, 64)
			if err != nil {
				t.Errorf("the ID %q", f.id)
			}
			var data any
			d := json.NewDecoder(strings.NewReader(f.data))
			d.UseNumber()
			must(t, d.Decode(&data))
			err = doc.check(f.name, data, of)
			if err != nil {
				t.Error(err)
			}
			seen, last = f.name, f.id
			left = slices.DeleteFunc(left, func(name string) bool { return name == f.name })
		case <-tooLate:
			t.Fatalf("these events have not come: %v", left)
		}
	}
	return last
}
