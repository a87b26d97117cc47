package catalog

import "strings"

// parseIdent takes a name of several parts apart, such as public."My view". Parts without quotes
// are in small letters. If it is not strict, what comes after the name does not matter.
func parseIdent(text string, strict bool) ([]any, error) {
	bad := func() ([]any, error) {
		return nil, fault(codeBadValue, -1, "string is not a valid identifier: %q", text)
	}
	const blanks = " \t\n\r\f\v"
	var parts []any
	rest := strings.TrimLeft(text, blanks)
	for {
		part, after, ok := onePart(rest)
		if !ok {
			return bad()
		}
		parts = append(parts, part)
		rest = strings.TrimLeft(after, blanks)
		next, more := strings.CutPrefix(rest, ".")
		if !more {
			break
		}
		rest = strings.TrimLeft(next, blanks)
	}
	if rest != "" && strict {
		return bad()
	}
	return parts, nil
}

// onePart takes one part of a name off a text.
func onePart(text string) (part, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		n := 0
		for n < len(text) && (isLetter(text[n]) || n > 0 && (isDigit(text[n]) || text[n] == '$')) {
			n++
		}
		return lower(text[:n]), text[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
			b.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		default:
			return b.String(), text[i+1:], b.Len() > 0
		}
	}
	return "", "", false
}
