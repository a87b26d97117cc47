// Package figures has the figures of repeated runs: which of the numbers in a result are figures,
// which way is better, what they are over several runs, and which of them cannot be.
//
// A result is a JSON object. Its numbers are either what was asked for (readers, groups, a rate) or
// what was measured. Names tell them apart, so a new command has its figures summed up and compared
// without saying so, as long as it names them like the others.
package figures

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/velo-engine/velo/internal/perfstat"
)

// These say which way a figure is better.
const (
	Higher = "higher"
	Lower  = "lower"
)

// A Figure is what one number of a result was in each run.
type Figure struct {
	Better  string    `json:"better"`
	Samples []float64 `json:"samples"` // in the order of the runs
	perfstat.Summary
}

// Direction says which way a number is better: Higher, Lower, or empty if it is no figure. unit is
// for a number that is only called value.
func Direction(name, unit string) string {
	switch name {
	case "value":
		if strings.Contains(unit, "/s") {
			return Higher
		}
		return Lower
	case "efficiency", "of_most", "ratio", "speedup", "of_fixed", "of_none":
		return Higher
	case "seconds", "loss", "allocs_per_get":
		return Lower
	}
	for _, part := range []string{"_per_second", "_speedup"} {
		if strings.HasSuffix(name, part) {
			return Higher
		}
	}
	for _, part := range []string{"_us", "_ns", "_loss", "_share", "_wait_seconds"} {
		if strings.HasSuffix(name, part) {
			return Lower
		}
	}
	if strings.Contains(name, "ns_per_") {
		return Lower
	}
	return ""
}

// leading are the figures by which a run is picked to stand for the others, the first that is
// there.
var leading = []string{"records_per_second", "value", "seconds", "p50_us", "visible_p50_us", "reader_ns"}

// Leading returns the name of the figure that stands for a result; it is empty if there are none.
func Leading(figures map[string]Figure) string {
	for _, name := range leading {
		if _, ok := figures[name]; ok {
			return name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		return name
	}
	return ""
}

// Combine makes one result of the results of several runs, one at least. Its figures are medians.
// What is no figure is from the run in the middle, so that counts of one run stand together.
func Combine(runs []map[string]any) (result map[string]any, figures map[string]Figure) {
	figures = map[string]Figure{}
	unit, _ := runs[0]["unit"].(string)
	_, timed := runs[0]["records_per_second"]
	for name := range runs[0] {
		better := Direction(name, unit)
		if better == "" || name == "seconds" && timed { // then seconds are what was asked for
			continue
		}
		var samples []float64
		for _, r := range runs {
			if v, ok := r[name].(float64); ok {
				samples = append(samples, v)
			}
		}
		if len(samples) == len(runs) {
			figures[name] = Figure{better, samples, perfstat.Summarize(samples)}
		}
	}
	middle := 0
	if lead := Leading(figures); lead != "" {
		order := make([]int, len(runs))
		for i := range order {
			order[i] = i
		}
		samples := figures[lead].Samples
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case samples[a] < samples[b]:
				return -1
			case samples[a] > samples[b]:
				return 1
			}
			return 0
		})
		middle = order[len(order)/2]
	}
	result = maps.Clone(runs[middle])
	for name, f := range figures {
		result[name] = f.Median
	}
	return result, figures
}

// mostEfficiency is an efficiency that cannot be: a tenth more than all cores can give is what
// caches that add up may do, and the rest is a baseline that was disturbed.
const mostEfficiency = 1.2

// Impossible says which numbers of a result cannot be, a line each. Such a figure was disturbed or
// is computed wrongly.
func Impossible(result map[string]any) (faults []string) {
	number := func(name string) (float64, bool) { v, ok := result[name].(float64); return v, ok }
	unit, _ := result["unit"].(string)
	for _, name := range slices.Sorted(maps.Keys(result)) {
		v, ok := number(name)
		if !ok {
			continue
		}
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			faults = append(faults, fmt.Sprintf("%s is %v", name, v))
		case name == "efficiency" && v > mostEfficiency:
			faults = append(faults, fmt.Sprintf("%s is %.2f: more than %.1f cannot be", name, v, mostEfficiency))
		case name == "loss" || strings.HasSuffix(name, "_loss") || strings.HasSuffix(name, "_share"):
			if v < 0 || v > 1 {
				faults = append(faults, fmt.Sprintf("%s is %.1f %%, expected 0 to 100 %%", name, 100*v))
			}
		case Direction(name, unit) != "" && v < 0:
			faults = append(faults, fmt.Sprintf("%s is %v: less than 0 cannot be", name, v))
		case strings.HasSuffix(name, "records_per_second") && v == 0:
			faults = append(faults, fmt.Sprintf("%s is 0: nothing was measured", name))
		}
	}
	for _, pair := range [][2]string{
		{"seen", "sent"},
		{"p50_us", "p99_us"},
		{"p99_us", "p999_us"},
		{"p999_us", "p9999_us"},
		{"p9999_us", "max_us"},
		{"sync_p50_us", "sync_p99_us"},
	} {
		less, ok1 := number(pair[0])
		more, ok2 := number(pair[1])
		if ok1 && ok2 && less > more {
			faults = append(faults, fmt.Sprintf("%s is %v and more than %s, which is %v", pair[0], less, pair[1], more))
		}
	}
	return faults
}
