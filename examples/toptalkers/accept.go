package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/velo-engine/velo/readers"
)

// maxLine is the longest line; a longer one is malformed.
const maxLine = 512

// accept takes connections until ctx is done, and returns when all of them have ended.
func (s *server) accept(ctx context.Context, l net.Listener) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	defer l.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()                               // ends the connections, even if Accept fails
	context.AfterFunc(ctx, func() { l.Close() }) // ends Accept
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		connections.Go(func() { s.serve(ctx, c) })
	}
}

// serve reads the lines of a connection until it ends or ctx is done, and tells the client how many
// were accepted.
func (s *server) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	lane, err := s.feed.Lane()
	if err != nil {
		s.refused.Add(1)
		fmt.Fprintf(c, "refused: %v\n", err)
		return
	}
	defer lane.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })() // ends a read that waits
	taken, err := s.receive(ctx, bufio.NewReaderSize(c, maxLine), lane)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(c, "ended: %v\n", err)
	}
	fmt.Fprintf(c, "%d lines taken\n", taken)
}

// receive sends what it reads. A malformed line is counted, and the next one is read.
func (s *server) receive(ctx context.Context, r *bufio.Reader, lane *readers.Lane[packet]) (taken int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) { // skip the rest of it
			_, err = r.ReadSlice('\n')
		}
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return taken, err // the last line may lack some digits
		}
		p, ok := parse(line)
		switch {
		case ok && !tooLong:
			if err := lane.Send(ctx, p); err != nil {
				return taken, err
			}
			taken++
		case len(line) > 0:
			s.malformed.Add(1)
		}
		if ended {
			return taken, nil
		}
	}
}
