package record

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// MaxSymbols bounds the symbols of a process.
	MaxSymbols = 1 << 20

	// MaxSymbolBytes bounds the memory of their texts, each with symbolPad bytes after it.
	MaxSymbolBytes = 256 << 20

	// symbolPad follows each text. Vectors read that many bytes from the beginning of a text, and
	// nothing is written there while they do.
	symbolPad = 32
)

// ErrNoSymbol says that there is no room for another symbol.
var ErrNoSymbol = errors.New("record: no room for another symbol")

// A Symbol is a text that is kept once for the process, such as the name of a place or a status: a
// field of a struct that is a Symbol makes a column of text, and a record carries four bytes for it
// instead of a string that has to be copied. Make it once, keep it and use it often. Symbols of the
// same text are equal. The zero Symbol is the empty text.
//
// Symbols are never forgotten, so they are not for texts without end, such as the ids of requests.
// They do not depend on a feed or an engine.
type Symbol struct{ id uint32 }

// symbolTable has the texts of symbols. What it has does not change: a table with more symbols may
// share its memory, after its end.
type symbolTable struct {
	views []View
	bytes []byte
}

var symbols = func() *symbolSet {
	s := &symbolSet{byText: map[string]Symbol{"": {}}}
	s.table.Store(&symbolTable{views: make([]View, 1), bytes: make([]byte, symbolPad)})
	return s
}()

type symbolSet struct {
	mu     sync.RWMutex
	byText map[string]Symbol
	// table is stored under the lock, and loaded to encode or read a symbol. A goroutine that has a
	// symbol finds it in the table, because the table was stored before the symbol was returned.
	table atomic.Pointer[symbolTable]
}

// NewSymbol returns the symbol of a text. Any goroutine may call it. It takes a lock and looks the
// text up, so it is not for each record. The error is ErrNoSymbol with the bound that is reached.
func NewSymbol(text string) (Symbol, error) {
	s := symbols
	s.mu.RLock()
	sym, ok := s.byText[text]
	s.mu.RUnlock()
	if ok {
		return sym, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sym, ok := s.byText[text]; ok {
		return sym, nil
	}
	t := s.table.Load()
	if len(t.views) == MaxSymbols {
		return Symbol{}, fmt.Errorf("%w: there are %d, the most that a process may have: texts without end are no "+
			"symbols, use a string", ErrNoSymbol, MaxSymbols)
	}
	if len(t.bytes)+len(text)+symbolPad > MaxSymbolBytes {
		return Symbol{}, fmt.Errorf("%w of %d bytes: %d bytes are taken of %d", ErrNoSymbol, len(text), len(t.bytes),
			MaxSymbolBytes)
	}
	view := View{uint32(len(t.bytes)), uint32(len(text))}
	bytes := append(slices.Grow(t.bytes, len(text)+symbolPad), text...)
	next := &symbolTable{views: append(t.views, view), bytes: append(bytes, make([]byte, symbolPad)...)}
	sym = Symbol{uint32(len(t.views))}
	s.table.Store(next)
	s.byText[string(next.bytes[view.Off:view.Off+view.Len])] = sym
	return sym, nil
}

// String returns the text.
func (s Symbol) String() string {
	t := symbols.table.Load()
	v := t.views[s.id]
	return string(t.bytes[v.Off : v.Off+v.Len])
}
