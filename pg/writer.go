package pg

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// flushAt is how much a writer collects before it writes.
const flushAt = 64 << 10

// A writer collects messages and writes them together. Its first error stays.
type writer struct {
	conn    net.Conn
	buf     []byte
	timeout time.Duration // for a write, after which the client counts as dead
	err     error
	discard bool // nothing is written: MOVE
}

func (w *writer) send(m pgproto3.BackendMessage) {
	if w.err != nil {
		return
	}
	buf, err := m.Encode(w.buf)
	if err != nil {
		w.err = err
		return
	}
	w.buf = buf
}

// full writes what there is, if it is much.
func (w *writer) full() error {
	if len(w.buf) < flushAt {
		return w.err
	}
	return w.flush()
}

func (w *writer) flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	if w.discard {
		w.buf = w.buf[:0]
		return nil
	}
	w.err = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	if w.err == nil {
		_, w.err = w.conn.Write(w.buf)
	}
	if cap(w.buf) > 4*flushAt {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	return w.err
}

// describe sends a RowDescription. formats are the formats of the columns: none, one for all, or
// each.
func (w *writer) describe(columns []column, formats []int16) {
	if w.err != nil {
		return
	}
	buf := append(w.buf, 'T', 0, 0, 0, 0)
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(columns)))
	for i, c := range columns {
		buf = append(buf, c.name...)
		buf = append(buf, 0)
		buf = append(buf, 0, 0, 0, 0, 0, 0) // no table
		buf = binary.BigEndian.AppendUint32(buf, c.oid)
		buf = binary.BigEndian.AppendUint16(buf, uint16(sizeOf(c.oid)))
		buf = binary.BigEndian.AppendUint32(buf, uint32(c.mod))
		buf = binary.BigEndian.AppendUint16(buf, uint16(formatOf(formats, i)))
	}
	at := len(w.buf) + 1
	binary.BigEndian.PutUint32(buf[at:], uint32(len(buf)-at))
	w.buf = buf
}

func formatOf(formats []int16, i int) int16 {
	switch {
	case len(formats) == 0:
		return formatText
	case len(formats) == 1:
		return formats[0]
	}
	return formats[i]
}
