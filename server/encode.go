package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
	"github.com/velo-engine/velo/writers"
)

// The types of answers with rows.
const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
	typeCSV    = "text/csv"
)

// The headers of an answer with rows.
const (
	HeaderView      = "Velo-View"
	HeaderEpoch     = "Velo-Epoch"
	HeaderPositions = "Velo-Positions" // records that each reader of the engine had given
)

// typeOf is the type that a client accepts; "" if it is none of these. Of several the first counts
// that is known.
func typeOf(r *http.Request) string {
	accept := r.Header.Get("Accept")
	if accept == "" {
		return typeJSON
	}
	for one := range strings.SplitSeq(accept, ",") {
		t, _, err := mime.ParseMediaType(strings.TrimSpace(one))
		if err != nil {
			continue
		}
		switch t {
		case typeJSON, "application/*", "*/*":
			return typeJSON
		case typeNDJSON, "application/ndjson", "application/jsonl":
			return typeNDJSON
		case typeCSV, "text/*":
			return typeCSV
		}
		if _, ok := connect.Default.EncodingOf(t); ok {
			return t
		}
	}
	return ""
}

// acceptable says whether the client takes one of the types that there are.
func acceptable(r *http.Request) error {
	if typeOf(r) != "" {
		return nil
	}
	return &Error{
		Status: http.StatusNotAcceptable, Code: "not_acceptable", Message: "Accept: " + r.Header.Get("Accept"),
		Hint: strings.Join(append([]string{typeJSON, typeNDJSON, typeCSV}, codedTypes()...), ", "),
	}
}

// codedTypes are the types of encodings that other packages have.
func codedTypes() (all []string) {
	for _, name := range connect.Default.Encodings() {
		e, _ := connect.Default.Encoding(name)
		all = append(all, e.MediaType)
	}
	return all
}

// encoder writes rows in the type that the client accepts.
type encoder struct {
	w      http.ResponseWriter
	schema *record.Schema
	typ    string
	buffer bytes.Buffer
	rows   record.Writer
	flush  func() error
	some   bool // there was a row
	// coded says that the type is one of another package, which has an end (connect.Encoding).
	coded bool
}

func newEncoder(w http.ResponseWriter, r *http.Request, schema *record.Schema) (*encoder, error) {
	if err := acceptable(r); err != nil {
		return nil, err
	}
	e := &encoder{w: w, schema: schema, typ: typeOf(r)}
	if c, ok := connect.Default.EncodingOf(e.typ); ok {
		rows := c.New(&e.buffer, schema)
		e.rows, e.flush, e.coded = rows, rows.Flush, true
	} else if e.typ == typeCSV {
		c := writers.NewCSV(&e.buffer)
		e.rows, e.flush = c, c.Flush
	} else {
		n := writers.NewNDJSON(&e.buffer)
		e.rows, e.flush = n, n.Flush
	}
	return e, nil
}

// begin writes what is before the rows. The cut is nil if the rows are of no view.
func (e *encoder) begin(cut *view.Cut) error {
	h := e.w.Header()
	h.Set("Content-Type", e.typ)
	if cut != nil {
		h.Set(HeaderView, cut.View)
		h.Set(HeaderEpoch, strconv.FormatUint(cut.Epoch, 10))
		h.Set(HeaderPositions, strings.Trim(fmt.Sprint(cut.Positions), "[]"))
	}
	e.w.WriteHeader(http.StatusOK)
	switch {
	case e.coded:
		return nil
	case e.typ == typeCSV: // the column names, also if there is no row
		return e.write(record.NewBatch(e.schema, 1))
	case e.typ == typeNDJSON:
		return nil
	}
	head := struct {
		View      string   `json:"view,omitempty"`
		Epoch     uint64   `json:"epoch"`
		Positions []uint64 `json:"positions"`
		Columns   []column `json:"columns"`
	}{Columns: columnsOf(e.schema), Positions: []uint64{}}
	if cut != nil {
		head.View, head.Epoch, head.Positions = cut.View, cut.Epoch, append(head.Positions, cut.Positions...)
	}
	b, err := json.Marshal(head)
	if err != nil {
		return err
	}
	_, err = e.w.Write(append(b[:len(b)-1], `,"rows":[`...))
	return err
}

// write encodes a batch and sends it.
func (e *encoder) write(b *record.Batch) error {
	err := e.rows.Write(context.Background(), b)
	if err == nil {
		err = e.flush()
	}
	if err != nil {
		return err
	}
	_, err = e.buffer.WriteTo(e.w)
	return err
}

// batch writes rows.
func (e *encoder) batch(b *record.Batch) error {
	if b.Len() == 0 || e.typ != typeJSON {
		return e.write(b)
	}
	lines, err := e.lines(b)
	if err != nil {
		return err
	}
	out := bytes.Join(lines, []byte(",\n"))
	if e.some {
		out = append([]byte(",\n"), out...)
	}
	e.some = true
	_, err = e.w.Write(out)
	return err
}

// lines are the rows of a batch as objects of JSON. They are valid until the next call.
func (e *encoder) lines(b *record.Batch) ([][]byte, error) {
	e.buffer.Reset()
	if err := e.rows.Write(context.Background(), b); err != nil {
		return nil, err
	}
	if err := e.flush(); err != nil {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(e.buffer.Bytes(), []byte("\n")), []byte("\n")), nil
}

// end writes what is after the rows.
func (e *encoder) end() error {
	if e.coded {
		if err := e.rows.Close(); err != nil {
			return err
		}
		_, err := e.buffer.WriteTo(e.w)
		return err
	}
	if e.typ != typeJSON {
		return nil
	}
	_, err := e.w.Write([]byte("]}\n"))
	return err
}
