package syntax

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// A Command is a statement about jobs, which a server carries out:
//
//	SHOW JOBS | SOURCES | SINKS | VIEWS
//	ALTER JOB name PAUSE | RESUME | RESTART | START | STOP | CHECKPOINT
//	DROP JOB name
type Command struct {
	Pos    Pos
	Verb   string // show, alter or drop
	Object string // what SHOW shows, in lower case; job for the others
	Name   string // of the job
	Action string // of ALTER, in lower case
}

// What the words of a command may be.
var (
	shownObjects = []string{"jobs", "sources", "sinks", "views"}
	jobActions   = []string{"pause", "resume", "restart", "start", "stop", "checkpoint", "abort"}
)

// ParseCommand parses a text that is one command. It returns false if the first word is the word of
// no command. An error is an *Error.
func ParseCommand(text string) (c *Command, is bool, err error) {
	list, err := check(text)
	if err != nil {
		return nil, false, nil // the parser of queries says so
	}
	one, rest := cut(list)
	if len(one) == 0 || len(rest) > 1 {
		return nil, false, nil
	}
	p := &commandParser{text: text, list: one}
	c = &Command{Pos: Pos(p.list[0].Pos.Offset), Verb: strings.ToLower(p.list[0].Value)}
	switch c.Verb {
	case "show":
		p.list = p.list[1:]
		c.Object = p.word(shownObjects)
	case "drop", "alter":
		p.list = p.list[1:]
		c.Object = p.word([]string{"job"})
		c.Name = p.name()
		if c.Verb == "alter" {
			c.Action = p.word(jobActions)
		}
	default:
		return nil, false, nil
	}
	if p.err == nil && !p.list[0].EOF() {
		p.fail("end of the statement")
	}
	if p.err != nil {
		return nil, true, p.err
	}
	return c, true, nil
}

// commandParser takes the tokens of a command one by one. After a fault it does nothing.
type commandParser struct {
	text string
	list []lexer.Token
	err  error
}

func (p *commandParser) fail(expected string) {
	if p.err == nil {
		t := p.list[0]
		p.err = ErrorAt(p.text, Pos(t.Pos.Offset), "unexpected %s, expected %s", source(p.text, t), expected)
	}
}

// word takes one of these words.
func (p *commandParser) word(words []string) string {
	if p.err != nil {
		return ""
	}
	for _, w := range words {
		if p.list[0].Type == word && strings.EqualFold(p.list[0].Value, w) {
			p.list = p.list[1:]
			return w
		}
	}
	p.fail(strings.ToUpper(strings.Join(words, ", ")))
	return ""
}

// name takes a name.
func (p *commandParser) name() (name string) {
	if p.err != nil {
		return ""
	}
	switch t := p.list[0]; t.Type {
	case word:
		name = strings.ToLower(t.Value)
	case quoted:
		name = strings.ReplaceAll(t.Value[1:len(t.Value)-1], `""`, `"`)
	default:
		p.fail("the name of a job")
		return ""
	}
	p.list = p.list[1:]
	return name
}
