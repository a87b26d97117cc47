package main

import (
	"fmt"
	"net/url"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/scalar"
)

// host is host(url), the host of a URL; NULL if the URL has none. A text that is no URL cannot be
// computed: its record is set aside.
var host = scalar.Spec[string, string]{
	Name: "host",
	Row: func(text string) (string, error) {
		u, err := url.Parse(text)
		switch {
		case err != nil:
			return "", fmt.Errorf("no URL: %w", err)
		case u.Host == "":
			return "", scalar.Null
		}
		return u.Hostname(), nil
	},
}

// A weighted is the state of a group.
type weighted struct{ sum, weight float64 }

// weightedAvg is weighted_avg(value, weight).
var weightedAvg = aggregate.Spec2[weighted, float64, float64, float64]{
	Name: "weighted_avg",
	Add: func(s *weighted, value, weight float64) {
		s.sum += value * weight
		s.weight += weight
	},
	Merge: func(into, from *weighted) {
		into.sum += from.sum
		into.weight += from.weight
	},
	Result: func(s weighted) (float64, bool) { return s.sum / s.weight, s.weight != 0 },
}

func init() {
	query.RegisterFunction(scalar.Must(host))
	query.RegisterAggregate(aggregate.Must(weightedAvg))
}
