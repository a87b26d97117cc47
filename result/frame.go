package result

import (
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
)

// maxOverTexts bounds the bytes that one column of string_agg OVER makes of frames that rows are
// excluded from. Each of them is a text of its own; the texts of other frames are parts of one.
const maxOverTexts = 64 << 20

// span is a range of rows of a partition, without the row at to.
type span struct{ from, to int }

// spans are the rows of the frame of row i, without those that EXCLUDE leaves out, in their order.
// None of them is empty.
func (o *overing) spans(rows []int, i int) (all []span) {
	from, to := o.frame(rows, i)
	parts := [3]span{{from, to}}
	switch o.Exclude {
	case layout.ExcludeCurrentRow:
		parts = [3]span{{from, min(to, i)}, {max(from, i+1), to}}
	case layout.ExcludeGroup:
		parts = [3]span{{from, min(to, o.begin[i])}, {max(from, o.end[i]), to}}
	case layout.ExcludeTies:
		parts = [3]span{
			{from, min(to, o.begin[i])},
			{max(from, i), min(to, i+1)},
			{max(from, o.end[i]), to},
		}
	}
	for _, s := range parts {
		if s.from < s.to {
			all = append(all, s)
		}
	}
	return all
}

// texts joins the texts of each frame, with the separator between them. NULL is left out; a frame
// without texts is NULL. All texts of the partition are joined once, and a frame is a part of that.
func (o *overing) texts(rows []int) {
	var b strings.Builder
	n := len(rows)
	// Of a row: where its text begins and ends in all, and how many texts there are before it.
	begin, end, before := make([]int, n), make([]int, n), make([]int, n+1)
	for i, row := range rows {
		v := o.args[0][row]
		before[i+1] = before[i]
		if !v.Null {
			if before[i] > 0 {
				b.WriteString(o.Separator)
			}
			before[i+1]++
		}
		begin[i] = b.Len()
		if !v.Null {
			b.WriteString(v.Text)
		}
		end[i] = b.Len()
	}
	all := b.String()
	// part is what is joined of the rows of a span.
	part := func(s span) (text string, some bool) {
		for s.from < s.to && o.args[0][rows[s.from]].Null {
			s.from++
		}
		if s.from == s.to {
			return "", false
		}
		return all[begin[s.from]:end[s.to-1]], true
	}
	for i, row := range rows {
		o.result[row] = o.joined(o.spans(rows, i), part)
	}
}

// joined is the text of the parts of a frame.
func (o *overing) joined(spans []span, part func(span) (string, bool)) expr.Value {
	text, some, parts := "", false, 0
	for _, s := range spans {
		t, is := part(s)
		switch {
		case !is:
			continue
		case some:
			text += o.Separator + t
		default:
			text = t
		}
		some = true
		parts++
	}
	if parts > 1 {
		o.made += len(text)
	}
	if len(text) > maxCollected || parts > 1 && o.made > maxOverTexts {
		return expr.Value{Null: true, Unfit: true}
	}
	return expr.Value{Null: !some, Text: text}
}
