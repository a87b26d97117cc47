package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/view"
)

const (
	// heartbeat is how often a stream without news says that it is there.
	heartbeat = 15 * time.Second
	// defaultEvery is how often the changes of a view are sent, and minEvery how often at most.
	defaultEvery = time.Second
	minEvery     = 100 * time.Millisecond
)

// sse is a stream of server-sent events.
type sse struct {
	w     http.ResponseWriter
	flush func()
}

// newSSE begins a stream.
func newSSE(w http.ResponseWriter) *sse {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &sse{w: w, flush: func() {}}
	if f, ok := w.(http.Flusher); ok {
		s.flush = f.Flush
	}
	s.flush()
	return s
}

// send sends an event. The data has no newline.
func (s *sse) send(id, name string, data []byte) error {
	_, err := fmt.Fprintf(s.w, "id: %s\nevent: %s\ndata: %s\n\n", id, name, data)
	s.flush()
	return err
}

// beat says that the stream is there.
func (s *sse) beat() error {
	_, err := fmt.Fprint(s.w, ": here\n\n")
	s.flush()
	return err
}

// streams says whether a client wants server-sent events.
func streams(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// lastID is the ID after which a stream goes on; otherwise if the client does not say it.
func lastID(r *http.Request, otherwise uint64) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return otherwise, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &Error{
			Status: http.StatusBadRequest, Code: "parameter", Message: "after=" + text + ", expected an ID",
		}
	}
	return id, nil
}

// events answers with events, or with a stream of them.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("job")
	if name != "" {
		if _, _, err := s.cfg.Jobs.Get(name); err != nil {
			return err
		}
	}
	all := s.cfg.Jobs.Events()
	if !streams(r) {
		id, err := lastID(r, 0)
		if err != nil {
			return err
		}
		list, complete, _ := all.After(id, name)
		return writeJSON(w, http.StatusOK, map[string]any{
			"events": append([]job.Event{}, list...), "complete": complete, "last": all.Last(),
		})
	}
	id, err := lastID(r, all.Last())
	if err != nil {
		return err
	}
	giveBack, err := take(s.streams, "streams")
	if err != nil {
		return err
	}
	defer giveBack()
	to := newSSE(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		list, complete, more := all.After(id, name)
		if !complete {
			gone := []byte(`{"message":"older events are gone"}`)
			if err := to.send(strconv.FormatUint(id, 10), "gap", gone); err != nil {
				return err
			}
		}
		for _, ev := range list {
			data, err := json.Marshal(ev)
			if err == nil {
				err = to.send(strconv.FormatUint(ev.ID, 10), "event", data)
			}
			if err != nil {
				return err
			}
			id = ev.ID
		}
		if len(list) == 0 && !complete {
			id = all.Last()
		}
		select {
		case <-more:
		case <-beat.C:
			if err := to.beat(); err != nil {
				return err
			}
		case <-r.Context().Done():
			return nil
		}
	}
}

// change is what has changed in a view between two cuts.
type change struct {
	Epoch uint64 `json:"epoch"`
	// Whole says that Upserts are all rows, so that what a client has had is void.
	Whole   bool              `json:"whole,omitempty"`
	Upserts []json.RawMessage `json:"upserts"`
	// Deletes are rows that are no longer there, as they were last.
	Deletes []json.RawMessage `json:"deletes"`
}

// changes streams what changes in a view.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("view")
	if _, err := s.cfg.Views.Find(name); err != nil {
		return err
	}
	f := &flags{r: r}
	every := max(f.duration("every", defaultEvery, time.Hour), minEvery)
	if err := f.err(); err != nil {
		return err
	}
	giveBack, err := take(s.streams, "streams")
	if err != nil {
		return err
	}
	defer giveBack()
	d := &differ{server: s, name: name}
	first, err := d.next(r) // its error is an answer, and not the end of a stream
	if err != nil {
		return err
	}
	to := newSSE(w)
	if err := d.send(to, first); err != nil {
		return err
	}
	ticks, beats := time.NewTicker(every), time.NewTicker(heartbeat)
	defer ticks.Stop()
	defer beats.Stop()
	for {
		select {
		case <-ticks.C:
			c, err := d.next(r)
			said := d.failed
			d.failed = err != nil
			if err != nil && !said && r.Context().Err() == nil { // once, until there is an answer again
				data, _ := json.Marshal(map[string]*Error{"error": errorOf(err)})
				if err := to.send("0", "error", data); err != nil {
					return err
				}
			}
			if c != nil {
				if err := d.send(to, c); err != nil {
					return err
				}
			}
		case <-beats.C:
			if err := to.beat(); err != nil {
				return err
			}
		case <-r.Context().Done():
			return nil
		}
	}
}

// differ compares the rows of a view with those that it has seen.
type differ struct {
	server *Server
	name   string
	// engine and epoch are what was seen; the engine is another after the job was replaced.
	engine *engine.Engine
	epoch  uint64
	rows   map[string]json.RawMessage // by their keys
	failed bool                       // the last comparison has failed
}

func (d *differ) send(to *sse, c *change) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return to.send(strconv.FormatUint(c.Epoch, 10), "change", data)
}

// next returns what has changed; nil if nothing has.
func (d *differ) next(r *http.Request) (*change, error) {
	v, err := d.server.cfg.Views.Find(d.name)
	if err != nil {
		return nil, err
	}
	snap := v.Engine.Snapshot()
	epoch, groups := snap.Epoch(), snap.Of(v.Plan).Len()
	_ = snap.Close()
	if v.Engine == d.engine && epoch == d.epoch {
		return nil, nil
	}
	if most := d.server.cfg.Limits.ChangeGroups; groups > most {
		return nil, &Error{
			Status: http.StatusConflict, Code: "too_many_groups",
			Message: fmt.Sprintf("the view has %d groups, the changes of %d at most are streamed", groups, most),
			Hint:    "a sink with EMIT CHANGES has no such limit",
		}
	}
	rows, err := d.server.cfg.Views.Select(r.Context(), "SELECT * FROM "+quotedName(d.name))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	now, err := keyed(rows, v)
	if err != nil {
		return nil, err
	}
	c := &change{
		Epoch: rows.Cut.Epoch, Whole: v.Engine != d.engine, Upserts: []json.RawMessage{}, Deletes: []json.RawMessage{},
	}
	for key, row := range now {
		if c.Whole || !bytes.Equal(d.rows[key], row) {
			c.Upserts = append(c.Upserts, row)
		}
	}
	for key, row := range d.rows {
		if _, ok := now[key]; !ok && !c.Whole {
			c.Deletes = append(c.Deletes, row)
		}
	}
	d.engine, d.epoch, d.rows = v.Engine, rows.Cut.Epoch, now
	if !c.Whole && len(c.Upserts)+len(c.Deletes) == 0 {
		return nil, nil
	}
	return c, nil
}

// keyed are rows by their keys, or by all that they have if nothing tells them apart.
func keyed(rows *view.Rows, v view.Info) (map[string]json.RawMessage, error) {
	e, err := newEncoder(nil, &http.Request{Header: http.Header{}}, rows.Schema())
	if err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	var columns []int
	for _, key := range v.Keys {
		if i, ok := rows.Schema().Index(key); ok {
			columns = append(columns, i)
		}
	}
	for b, err := range rows.Batches() {
		if err != nil {
			return nil, err
		}
		lines, err := e.lines(b)
		if err != nil {
			return nil, err
		}
		for i, line := range lines {
			key := string(line)
			if len(v.Keys) > 0 {
				key = keyOf(b, columns, i)
			}
			all[key] = bytes.Clone(line)
		}
	}
	return all, nil
}

// keyOf is the key of a row as a text that no other key has.
func keyOf(b *record.Batch, columns []int, row int) string {
	var key []byte
	for _, c := range columns {
		col := b.Column(c)
		switch {
		case col.Null(row):
			key = append(key, 'n')
		case b.Schema().Field(c).Type.Kind() == record.String:
			key = fmt.Appendf(key, "%d:%s", len(col.View(row)), col.View(row))
		default:
			key = fmt.Appendf(key, "%x;", col.Words()[row])
		}
	}
	return string(key)
}
