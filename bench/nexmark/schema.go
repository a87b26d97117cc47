package nexmark

import (
	"fmt"

	"github.com/velo-engine/velo/record"
)

// The schemas of the streams. Prices are in cents.
var (
	PersonSchema = schema("person", record.Field{Name: "id", Type: record.Int64},
		record.Field{Name: "name", Type: record.String}, record.Field{Name: "email", Type: record.String},
		record.Field{Name: "city", Type: record.String}, record.Field{Name: "state", Type: record.String},
		record.Field{Name: "date_time", Type: record.Timestamp})

	AuctionSchema = schema("auction", record.Field{Name: "id", Type: record.Int64},
		record.Field{Name: "item_name", Type: record.String},
		record.Field{Name: "initial_bid", Type: record.Int64}, record.Field{Name: "reserve", Type: record.Int64},
		record.Field{Name: "date_time", Type: record.Timestamp},
		record.Field{Name: "expires", Type: record.Timestamp}, record.Field{Name: "seller", Type: record.Int64},
		record.Field{Name: "category", Type: record.Int64})

	BidSchema = schema("bid", record.Field{Name: "auction", Type: record.Int64},
		record.Field{Name: "bidder", Type: record.Int64}, record.Field{Name: "price", Type: record.Int64},
		record.Field{Name: "channel", Type: record.String}, record.Field{Name: "date_time", Type: record.Timestamp})
)

func schema(name string, fields ...record.Field) *record.Schema {
	s, err := record.NewSchema(name, fields...)
	if err != nil {
		panic(err) // the schema is a constant
	}
	return s
}

// stream is what differs between the streams.
type stream struct {
	name            string
	schema          *record.Schema
	first, perEpoch uint64 // position among the events of an epoch
	fill            func(g *Generator, b *record.Batch, from, n int)
}

var streams [3]stream

func init() { // not in the declaration, because the functions use streams
	streams = [3]stream{
		Persons:  {"person", PersonSchema, 0, PersonsPerEpoch, (*Generator).persons},
		Auctions: {"auction", AuctionSchema, PersonsPerEpoch, AuctionsPerEpoch, (*Generator).auctions},
		Bids:     {"bid", BidSchema, PersonsPerEpoch + AuctionsPerEpoch, BidsPerEpoch, (*Generator).bids},
	}
}

// texts are the texts of a column, in one piece of memory that every batch lends.
type texts struct {
	bytes []byte
	views []record.View
}

func newTexts(all ...string) (t texts) {
	for _, s := range all {
		t.views = append(t.views, record.View{Off: uint32(len(t.bytes)), Len: uint32(len(s))})
		t.bytes = append(t.bytes, s...)
	}
	return t
}

const (
	hotChannels  = 4 // a power of two, like the number that is reduced to it
	coldChannels = 996
)

var (
	channels = newTexts(append([]string{"Google", "Facebook", "Baidu", "Apple"},
		numbered("channel-%d", coldChannels)...)...)
	items  = newTexts(numbered("item-%d", 256)...)
	cities = newTexts("Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle",
		"Kent", "Cheyenne")
	states = newTexts("AZ", "CA", "ID", "OR", "WA", "WY")

	names, emails = func() (names, emails texts) {
		var full, mail []string
		for _, first := range []string{
			"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah",
			"Deiter", "Walter",
		} {
			for _, last := range []string{
				"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones",
				"Noris",
			} {
				full = append(full, first+" "+last)
				mail = append(mail, first+"."+last+"@example.com")
			}
		}
		return newTexts(full...), newTexts(mail...)
	}()
)

func numbered(format string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}
