package writers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// A file has its name when it is whole. As engine.Config.Writer it gets each window when that has closed.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "velo-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "volumes-{n}.csv")
	w, err := writers.NewFile(writers.FileConfig{Path: path, RotateBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	schema, err := record.NewSchema("volumes", record.Field{Name: "symbol", Type: record.String}, record.Field{Name: "volume", Type: record.Int64})
	if err != nil {
		panic(err)
	}
	b := record.NewBatch(schema, 1)
	b.Add(4)
	b.SetString(0, "NVDA")
	b.SetInt64(1, 600)
	if err := w.Write(context.Background(), b); err != nil {
		panic(err)
	}
	left, _ := writers.Leftovers(path)
	fmt.Println(len(left), "unfinished")
	if err := w.Close(); err != nil {
		panic(err)
	}
	names, _ := w.Whole()
	text, _ := os.ReadFile(names[0])
	fmt.Printf("%s\n%s", filepath.Base(names[0]), text)
	// Output:
	// 1 unfinished
	// volumes-000001.csv
	// symbol,volume
	// NVDA,600
}
