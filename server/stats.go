package server

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/stats"
	"github.com/velo-engine/velo/view"
)

// Engines are all engines: by the name of each job that runs, its own; by the name and
// ReplacementSuffix, the engines of the replacement that runs beside it; by "", the engines of the
// service.
func (s *Server) Engines() map[string][]Engine {
	all := map[string][]Engine{}
	if s.cfg.Engines != nil {
		all[""] = s.cfg.Engines()
	}
	if s.cfg.Jobs == nil {
		return all
	}
	for _, j := range s.cfg.Jobs.List() {
		if in, err := s.inside(j.Name); err == nil {
			all[j.Name] = in.Engines()
		}
		if in := s.candidate(j.Name); in != nil {
			all[j.Name+ReplacementSuffix] = in.Engines()
		}
	}
	return all
}

// ReplacementSuffix ends what the replacement of a job is called in statistics and metrics. No name
// of a job has it.
const ReplacementSuffix = "/replacement"

// A Use says what the clients of a server take now.
type Use struct {
	view.Use
	Queries, Streams int
	// Requests have been answered, and Refused of them for lack of a right.
	Requests, Refused uint64
	// PushBytes are held by the bodies of pushes; PushesFull pushes found no room for theirs.
	PushBytes  int64
	PushesFull uint64
}

// Use says what the clients take now.
func (s *Server) Use() Use {
	held, full := s.bodies.use()
	return Use{
		s.cfg.Views.Use(), len(s.queries), len(s.streams), s.served.Load(), s.refused.Load(), held, full,
	}
}

// engineStats are the statistics of an engine.
type engineStats struct {
	Name   string `json:"name"`
	Source string `json:"source,omitempty"`
	View   bool   `json:"view"`
	Stats  any    `json:"stats"`
	// Summary is what people look at first: what agents did lately, and which is the bottleneck.
	Summary stats.Engine `json:"summary"`
}

func (s *Server) statsOf(engines []Engine) []engineStats {
	all := []engineStats{}
	for _, e := range engines {
		now := e.Engine.Stats()
		all = append(all, engineStats{
			e.Name, e.Source, e.View, shown(reflect.ValueOf(now)), s.samplers.Of(e.Engine).Engine(e.Name, now,
				e.Plans...),
		})
	}
	return all
}

func (s *Server) stats(w http.ResponseWriter, _ *http.Request) error {
	engines := map[string][]engineStats{}
	for name, of := range s.Engines() {
		engines[name] = s.statsOf(of)
	}
	return writeJSON(w, http.StatusOK, map[string]any{"engines": engines, "server": shown(reflect.ValueOf(s.Use()))})
}

func (s *Server) jobStats(w http.ResponseWriter, r *http.Request) error {
	status, _, err := s.cfg.Jobs.Get(r.PathValue("job"))
	if err != nil {
		return err
	}
	answer := struct {
		Job     job.Status    `json:"job"`
		Engines []engineStats `json:"engines"`
		// Replacement has the engines of the replacement that runs beside it.
		Replacement []engineStats `json:"replacement,omitempty"`
	}{Job: status, Engines: []engineStats{}}
	if in, err := s.inside(status.Name); err == nil {
		answer.Engines = s.statsOf(in.Engines())
	}
	if in := s.candidate(status.Name); in != nil {
		answer.Replacement = s.statsOf(in.Engines())
	}
	return writeJSON(w, http.StatusOK, answer)
}

// shown is a value as JSON shows it: names with small letters and lines under, times of durations
// in seconds, errors and words as texts.
func shown(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil
		}
	}
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case time.Duration:
			return x.Seconds()
		case time.Time:
			if x.IsZero() {
				return nil
			}
			return x.UTC()
		case error:
			return x.Error()
		case fmt.Stringer:
			if v.Kind() != reflect.Struct && v.Kind() != reflect.Slice && v.Kind() != reflect.Pointer {
				return x.String()
			}
		}
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return shown(v.Elem())
	case reflect.Struct:
		all := make(map[string]any, v.NumField())
		shownFields(v, all)
		return all
	case reflect.Slice, reflect.Array:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = shown(v.Index(i))
		}
		return all
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Interface()
	case reflect.Float32, reflect.Float64:
		f := v.Float()
		if f != f || f > 1e308 || f < -1e308 {
			return nil // JSON has no such number
		}
		return f
	}
	return nil
}

// shownFields adds the fields of a struct.
func shownFields(v reflect.Value, to map[string]any) {
	names := fieldNames(v.Type())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.IsExported():
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			shownFields(v.Field(i), to)
		default:
			to[names[i]] = shown(v.Field(i))
		}
	}
}

// underlined turns StateBytes into state_bytes.
func underlined(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// fieldNames are the names of the fields of a struct as JSON shows them. The slice must not change.
func fieldNames(t reflect.Type) []string {
	known, ok := namesOfTypes.Load(t)
	if ok {
		return known.([]string)
	}
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = underlined(t.Field(i).Name)
	}
	namesOfTypes.Store(t, names)
	return names
}

// namesOfTypes has the []string of fieldNames by reflect.Type: only the types of statistics.
var namesOfTypes sync.Map
