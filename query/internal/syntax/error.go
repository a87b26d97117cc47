package syntax

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/velo-engine/velo/internal/secret"
)

// Error is a fault in a text, with its place.
type Error struct {
	Pos          Pos
	Line, Column int    // both from 1; columns count characters
	Message      string // without the place

	text string
}

// maxShown is how many characters of a line an error shows: those around the place.
const maxShown = 120

// ErrorAt makes an Error for any place in a text, such as the place of a node.
func ErrorAt(text string, pos Pos, format string, args ...any) *Error {
	pos = clamp(text, pos)
	line, column := pos.In(text)
	return &Error{Pos: pos, Line: line, Column: column, Message: fmt.Sprintf(format, args...), text: text}
}

// Error is the place and the message, then the line of the text, then a caret below the place:
//
//	query: line 1, column 10: unexpected "FORM", expected FROM
//	SELECT a FORM t
//	         ^
func (e *Error) Error() string {
	line, caret := e.excerpt()
	return fmt.Sprintf("query: line %d, column %d: %s\n%s\n%s", e.Line, e.Column, e.Message, line, caret)
}

// hiddenBefore is how many bytes before the line of a fault are looked at for the beginning of a
// secret that ends in the line.
const hiddenBefore = 4096

// excerpt is the line of the place, shortened and without secrets, and the line with the caret. A
// tab stays a tab in both, so that the caret is right however wide a tab is. Characters that cannot
// be printed are shown as U+FFFD.
func (e *Error) excerpt() (line, caret string) {
	from, _ := lineOf(e.text, e.Pos)
	before, end := max(from-hiddenBefore, 0), len(e.text)
	if n := strings.IndexByte(e.text[from:], '\n'); n >= 0 {
		end = from + n
	}
	rest := secret.Hide(e.text[before:end])[from-before:]
	rest = strings.TrimRight(rest, "\r")
	at := min(int(e.Pos)-from, len(rest))

	// Show maxShown characters: a third of them after the place, or more if there are too few
	// before it.
	start, end := at, at
	for n := 0; n < maxShown*2/3 && start > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(rest[:start])
		start -= size
	}
	for n := utf8.RuneCountInString(rest[start:at]); n < maxShown && end < len(rest); n++ {
		_, size := utf8.DecodeRuneInString(rest[end:])
		end += size
	}

	var l, c strings.Builder
	if start > 0 {
		l.WriteString("...")
		c.WriteString("   ")
	}
	for i, r := range rest[start:end] {
		if r != '\t' && !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		l.WriteRune(r)
		if start+i < at {
			if r == '\t' {
				c.WriteByte('\t')
			} else {
				c.WriteString("  "[:width(r)])
			}
		}
	}
	if end < len(rest) {
		l.WriteString("...")
	}
	c.WriteByte('^')
	return l.String(), c.String()
}

// wide are the characters that terminals show in two columns: East Asian wide and full-width ones,
// and emoji (Unicode's EastAsianWidth.txt, merged into few ranges).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115f, 1},
		{0x2e80, 0x303e, 1},
		{0x3041, 0xa4cf, 1},
		{0xa960, 0xa97f, 1},
		{0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1},
		{0xfe30, 0xfe6f, 1},
		{0xff00, 0xff60, 1},
		{0xffe0, 0xffe6, 1},
	},
	R32: []unicode.Range32{
		{0x16fe0, 0x18cff, 1},
		{0x1b000, 0x1b2ff, 1},
		{0x1f300, 0x1f64f, 1},
		{0x1f680, 0x1f6ff, 1},
		{0x1f900, 0x1faff, 1},
		{0x20000, 0x3fffd, 1},
	},
}

// width is how many columns of a terminal a character takes.
func width(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// clamp is the place, or the nearest end of the text if the place is outside of it.
func clamp(text string, pos Pos) Pos { return max(0, min(pos, Pos(len(text)))) }

// lineOf is the offset at which the line of a place begins, and the number of the line from 1.
func lineOf(text string, pos Pos) (from, line int) {
	before := text[:clamp(text, pos)]
	return strings.LastIndexByte(before, '\n') + 1, strings.Count(before, "\n") + 1
}

// where describes a place in words.
func where(text string, pos Pos) string {
	line, column := pos.In(text)
	return fmt.Sprintf("line %d, column %d", line, column)
}
