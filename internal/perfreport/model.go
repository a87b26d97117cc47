package perfreport

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/velo-engine/velo/internal/figures"
)

// models draws what the model says of more cores, and how far it was from what was measured.
func models(all []figures.Result) (sections []Section) {
	byProfile := map[string][]figures.Result{}
	for _, r := range of(all, "model") {
		byProfile[r.Text("profile")] = append(byProfile[r.Text("profile")], r)
	}
	for _, profile := range slices.Sorted(maps.Keys(byProfile)) {
		s := Section{
			Title: "A model of more cores, which nobody has measured: " + profile,
			Head:  []string{"case", "readers x partitions", "cores", "model, records/s", "measured", "error", "E(n)"},
		}
		curve := line{Name: "model"}
		x := axis{Name: "cores", Log: true}
		points := byProfile[profile]
		slices.SortStableFunc(points, func(a, b figures.Result) int {
			return cmp.Compare(number(a, "cores"), number(b, "cores"))
		})
		for _, p := range points {
			predicted, cores := number(p, "predicted_records_per_second"), number(p, "cores")
			row := []string{
				p.Text("case"), fmt.Sprintf("%sx%s", short(number(p, "readers")), short(number(p, "partitions"))),
				short(cores), short(predicted), "-", "-", "-",
			}
			if measured, ok := p.Number("measured_records_per_second"); ok {
				row[4] = fmt.Sprintf("%s (%s..%s)", short(measured), short(number(p, "measured_least")),
					short(number(p, "measured_most")))
				row[5] = fmt.Sprintf("%+.0f %%", 100*number(p, "error"))
				if spoiled, _ := p.Fields["spoiled"].(bool); spoiled {
					row[5] += ", spoiled"
				}
			} else {
				row[6] = fmt.Sprintf("%.2f", number(p, "efficiency"))
				curve.Points = append(curve.Points, point{X: cores, Y: predicted})
				x.Ticks = append(x.Ticks, tick{cores, short(cores)})
			}
			s.Rows = append(s.Rows, row)
			if limit := p.Text("limit"); limit != "" {
				s.Lines = append(s.Lines, short(cores)+" cores: "+limit)
			}
		}
		for _, assumption := range points[0].Texts("assumptions") {
			s.Lines = append(s.Lines, "Assumed: "+assumption)
		}
		if len(curve.Points) > 1 {
			s.Plot = newChart(x, axis{Name: "records/s", Unit: "records/s"}, []line{curve})
		}
		sections = append(sections, s)
	}
	return sections
}
