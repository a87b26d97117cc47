package record_test

import (
	"fmt"
	"log"
	"time"

	"github.com/velo-engine/velo/record"
)

// A struct of a service is a source: its exported fields are columns, in snake case or under the
// name in the tag.
type Trade struct {
	Symbol string
	Price  float64
	Size   int64
	Venue  *string   // a pointer may be NULL
	Time   time.Time `velo:"at"`
	note   string    // unexported fields are left out
}

func ExampleSchemaOf() {
	schema, err := record.SchemaOf[Trade]("trades")
	if err != nil {
		log.Fatal(err)
	}
	for i := range schema.Len() {
		f := schema.Field(i)
		fmt.Println(f.Name, f.Type, f.Nullable)
	}
	// Output:
	// symbol text false
	// price double precision false
	// size bigint false
	// venue text true
	// at timestamp false
}

func ExampleEncoderOf() {
	schema, err := record.SchemaOf[Trade]("trades")
	if err != nil {
		log.Fatal(err)
	}
	encoder, err := record.EncoderOf[Trade](schema)
	if err != nil {
		log.Fatal(err)
	}
	batch := record.NewBatch(schema, 1024)
	trade := Trade{Symbol: "AAPL", Price: 189.5, Size: 100, Time: time.Unix(1767225600, 0), note: "not a column"}
	ok, err := encoder.Append(batch, &trade)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ok, batch.Len(), string(batch.Column(0).View(0)), batch.Column(3).Null(0))
	// Output:
	// true 1 AAPL true
}
