package server

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/velo-engine/velo/engine"
)

// Goal: field names are kept by type, and each is what underlined makes of it. Method: every field
// of the statistics of an engine, twice.
func TestShownNames(t *testing.T) {
	of := reflect.TypeFor[engine.Stats]()
	for range 2 {
		names := fieldNames(of)
		if len(names) != of.NumField() {
			t.Fatalf("%d names of %d fields", len(names), of.NumField())
		}
		for i, name := range names {
			if want := underlined(of.Field(i).Name); name != want && of.Field(i).IsExported() {
				t.Errorf("field %s is called %s, want %s", of.Field(i).Name, name, want)
			}
		}
	}
}

// BenchmarkStats is an answer of /v1/stats of one engine.
func BenchmarkStats(b *testing.B) {
	var s engine.Stats
	s.Readers, s.Agents = make([]engine.ReaderStats, 2), make([]engine.AgentStats, 3)
	s.Plans, s.Runners = make([]engine.PlanStats, 1), make([]engine.RunnerStats, 1)
	b.ReportAllocs()
	for b.Loop() {
		_, err := json.Marshal(shown(reflect.ValueOf(s)))
		must(b, err)
	}
}
