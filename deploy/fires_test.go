package deploy

import (
	"context"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// minutes is how long the series of these tests are.
const minutes = 40

// memory is series that Prometheus can ask for.
type memory struct {
	storage.LabelQuerier
	series []storage.Series
}

func (m *memory) Querier(int64, int64) (storage.Querier, error) { return m, nil }

func (*memory) Close() error { return nil }

func (m *memory) Select(_ context.Context, _ bool, _ *storage.SelectHints, by ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, s := range m.series {
		matches := true
		for _, b := range by {
			matches = matches && b.Matches(s.Labels().Get(b.Name))
		}
		if matches {
			found = append(found, s)
		}
	}
	return &foundSet{found: found, at: -1}
}

// foundSet goes through series.
type foundSet struct {
	found []storage.Series
	at    int
}

func (s *foundSet) Next() bool                      { s.at++; return s.at < len(s.found) }
func (s *foundSet) At() storage.Series              { return s.found[s.at] }
func (*foundSet) Err() error                        { return nil }
func (*foundSet) Warnings() annotations.Annotations { return nil }

// sample is one value.
type sample struct {
	t int64
	v float64
}

func (s sample) ST() int64                   { return 0 }
func (s sample) T() int64                    { return s.t }
func (s sample) F() float64                  { return s.v }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }

// change replaces the values of series: the series of that name whose labels have all of the
// others.
type change struct {
	name   string
	labels string // such as reader=1, outcome=late
	// value is the value after that many minutes, the last of which is now.
	value func(minute int) float64
}

func (c *change) fits(name string, m *dto.Metric) bool {
	if c.name != name {
		return false
	}
	for _, want := range strings.Split(c.labels, ", ") {
		key, value, some := strings.Cut(want, "=")
		found := !some
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == key && l.GetValue() == value
		}
		if !found {
			return false
		}
	}
	return true
}

// history is what a Prometheus would have seen of an engine: counters go on as between two scrapes,
// gauges stay, and times keep up with the clock. The changes are what is wrong.
func history(first, second map[string]*dto.MetricFamily, now time.Time, changes ...change) *memory {
	m := &memory{}
	for name, f := range second {
		for i, s := range f.GetMetric() {
			b := labels.NewScratchBuilder(8)
			b.Add(nameLabel, name)
			b.Add("instance", "127.0.0.1:9090")
			for _, l := range s.GetLabel() {
				if l.GetValue() != "" { // to Prometheus an empty label is none
					b.Add(l.GetName(), l.GetValue())
				}
			}
			b.Sort()
			value := func(int) float64 { return s.GetGauge().GetValue() }
			switch {
			case f.GetType() == dto.MetricType_COUNTER:
				was := 0.0
				if then := first[name].GetMetric(); i < len(then) {
					was = then[i].GetCounter().GetValue()
				}
				is := s.GetCounter().GetValue()
				value = func(minute int) float64 { return is + float64(minute)*(is-was) }
			case strings.HasSuffix(name, "_timestamp_seconds"):
				value = func(minute int) float64 { return float64(now.Unix()) - float64(60*(minutes-minute)) - 5 }
			}
			for _, c := range changes {
				if c.fits(name, s) {
					value = c.value
				}
			}
			var samples []chunks.Sample
			for minute := range minutes + 1 {
				at := now.Add(time.Duration(minute-minutes) * time.Minute)
				samples = append(samples, sample{at.UnixMilli(), value(minute)})
			}
			m.series = append(m.series, storage.NewListSeries(b.Labels(), samples))
		}
	}
	return m
}

// firing are the alerts whose expressions have a result.
func firing(t *testing.T, m *memory, now time.Time) map[string]promql.Vector {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: time.Minute})
	defer engine.Close()
	all := map[string]promql.Vector{}
	for _, r := range alerts(t) {
		q, err := engine.NewInstantQuery(t.Context(), m, nil, r.Expr, now)
		if err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
		v, err := q.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
		if len(v) > 0 {
			all[r.Alert] = append(promql.Vector(nil), v...)
		}
		q.Close()
	}
	return all
}

func constant(v float64) func(int) float64 { return func(int) float64 { return v } }

// rising is v more each minute.
func rising(v float64) func(int) float64 {
	return func(minute int) float64 { return 1000 + v*float64(minute) }
}

// Goal: no alert fires for a healthy engine, each fires for what it is about, and the labels that
// its summary names are there. Method: the query engine of Prometheus over the metrics of an
// engine, drawn out to forty minutes, and with one thing wrong at a time.
func TestFires(t *testing.T) {
	first, second := scrapes(t)
	now := time.Unix(1_780_000_000, 0)
	for name, v := range firing(t, history(first, second, now), now) {
		t.Errorf("%s fires for a healthy engine: %v", name, v)
	}
	wrong := map[string][]change{
		"VeloJobFailed":       {{"velo_job_state", "state=failed", constant(1)}},
		"VeloJobRestarts":     {{"velo_job_restarts_total", "", rising(1)}},
		"VeloPlanFailed":      {{"velo_plan_failed", "", constant(1)}},
		"VeloReaderFailed":    {{"velo_readers", "state=failed", constant(1)}},
		"VeloCheckpointsFail": {{"velo_checkpoint_failing", "", constant(3)}},
		"VeloCheckpointOld":   {{"velo_checkpoint_timestamp_seconds", "", constant(float64(now.Unix() - 600))}},
		"VeloWriterHangs":     {{"velo_output_waiting_seconds", "", constant(61)}},
		"VeloMemoryNearLimit": {
			{"velo_state_bytes", "", constant(95)},
			{"velo_state_limit_bytes", "", constant(100)},
		},
		"VeloNoMemoryForSnapshots": {{"velo_epochs_without_snapshot_total", "", rising(3)}},
		"VeloSnapshotsHeld":        {{"velo_epochs_withheld_total", "", rising(3)}},
		"VeloLagGrows":             {{"velo_lag_records", "reader=1", rising(10_000)}},
		"VeloFileLagGrows":         {{"velo_lag_bytes", "reader=1", rising(1e9)}},
		"VeloNotCaughtUp":          {{"velo_caught_up", "", constant(0)}},
		"VeloWatermarkStuck": {{
			"velo_watermark_timestamp_seconds", "reader=1",
			constant(float64(now.Unix() - 605)),
		}},
		"VeloSplitHoldsWindows": {{"velo_watermark_timestamp_seconds", "reader=1", func(minute int) float64 {
			return float64(now.Unix()) - 700 - float64(60*(minutes-minute))
		}}},
		"VeloRecordsLate":     {{"velo_records_total", "reader=0, outcome=late", rising(50)}},
		"VeloRecordsSetAside": {{"velo_records_total", "reader=0, outcome=quarantined", rising(5)}},
		"VeloRecordsLost":     {{"velo_partition_lost_records_total", "partition=1, reason=shed", rising(5)}},
		"VeloWriterSlow": {{
			"velo_agent_stalled_seconds_total", "agent=partition/0, cause=output_full",
			rising(50),
		}},
		"VeloAgentStarved": {{"velo_agent_starved_total", "agent=reader/0", rising(200)}},
		"VeloUnfitValues":  {{"velo_output_unfit_values_total", "", rising(1)}},
		"VeloTableStale":   {{"velo_table_stale", "table=names", constant(1)}},
		"VeloNotPinned":    {{"velo_runners_unpinned", "", constant(2)}},
	}
	for _, r := range alerts(t) {
		changes := wrong[r.Alert]
		if changes == nil {
			t.Errorf("nothing here fires %s", r.Alert)
			continue
		}
		delete(wrong, r.Alert)
		fired := firing(t, history(first, second, now, changes...), now)
		v := fired[r.Alert]
		if len(v) == 0 {
			t.Errorf("%s does not fire: %s", r.Alert, r.Expr)
			continue
		}
		for other := range fired {
			if other != r.Alert {
				t.Errorf("%s fires together with %s", other, r.Alert)
			}
		}
		for _, m := range label.FindAllStringSubmatch(r.Annotations["summary"], -1) {
			if m[1] != "engine" && v[0].Metric.Get(m[1]) == "" {
				t.Errorf("%s: its summary names %s, which %v does not have", r.Alert, m[1], v[0].Metric)
			}
		}
	}
	for name := range wrong {
		t.Errorf("there is no alert %s", name)
	}
	lost := history(first, second, now, change{"velo_reader_dropped_records_total", "reader=1", rising(5)})
	if len(firing(t, lost, now)["VeloRecordsLost"]) == 0 {
		t.Error("records that a reader dropped fire nothing")
	}
	// A job to which nothing comes saves nothing, and no window closes.
	still := history(first, second, now, change{"velo_records_total", "", constant(100)},
		change{"velo_checkpoint_timestamp_seconds", "", constant(float64(now.Unix() - 600))},
		change{"velo_watermark_timestamp_seconds", "", constant(float64(now.Unix() - 600))})
	for name, v := range firing(t, still, now) {
		t.Errorf("%s fires for a job to which nothing comes: %v", name, v)
	}
}
