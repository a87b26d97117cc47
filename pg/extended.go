package pg

import (
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"
)

// parse prepares a statement.
func (c *session) parse(m *pgproto3.Parse) error {
	if m.Name != "" && c.prepared[m.Name] != nil {
		return errorf(codeDuplicateStmt, "prepared statement %q already exists", m.Name)
	}
	err := c.roomFor(m.Query, m.Name)
	if err != nil {
		return err
	}
	all, err := split(m.Query)
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return errorf(codeSyntax, "cannot insert multiple commands into a prepared statement").at(all[1][0].Pos)
	}
	p := &prepared{text: m.Query, always: true}
	if len(all) == 1 {
		p, err = c.prepare(m.Query, all[0], m.ParameterOIDs, true)
		if err != nil {
			return err
		}
	}
	c.prepared[m.Name] = p
	c.out.send(&pgproto3.ParseComplete{})
	return nil
}

// roomFor says whether another prepared statement may be kept. It takes the place of one of its
// name.
func (c *session) roomFor(text, name string) error {
	bytes := len(text)
	for n, p := range c.prepared {
		if n != name {
			bytes += len(p.text)
		}
	}
	l := &c.server.limits
	if c.prepared[name] == nil && len(c.prepared) >= l.Statements || bytes > l.StatementText {
		return errorf(codeLimit, "a session has at most %d prepared statements, with %d KiB of text", l.Statements,
			l.StatementText>>10).hint("DEALLOCATE those that are not needed, or let the driver cache fewer.")
	}
	return nil
}

// bind makes a portal of a statement and its parameters.
func (c *session) bind(m *pgproto3.Bind) error {
	p := c.prepared[m.PreparedStatement]
	if p == nil {
		return noStatement(m.PreparedStatement)
	}
	err := c.allowed(p)
	if err != nil {
		return err
	}
	if old := c.portals[m.DestinationPortal]; old != nil && m.DestinationPortal != "" {
		return errorf(codeDuplicateCur, "cursor %q already exists", m.DestinationPortal)
	}
	args, err := c.arguments(p, m)
	if err != nil {
		return err
	}
	n := len(m.ResultFormatCodes)
	if n > 1 && n != len(p.columns) {
		return errorf(codeProtocol, "bind message has %d result formats but query has %d columns", n, len(p.columns))
	}
	for _, f := range m.ResultFormatCodes {
		if f != formatText && f != formatBinary {
			return errorf(codeProtocol, "unsupported format code: %d", f)
		}
	}
	c.closePortal(m.DestinationPortal)
	err = c.addPortal(m.DestinationPortal, &portal{prepared: p, args: args, formats: slices.Clone(m.ResultFormatCodes)})
	if err != nil {
		return err
	}
	c.out.send(&pgproto3.BindComplete{})
	return nil
}

// addPortal keeps a portal, if there are not too many.
func (c *session) addPortal(name string, p *portal) error {
	if len(c.portals) >= c.server.limits.Portals {
		return errorf(codeLimit, "a session has at most %d portals and cursors", c.server.limits.Portals)
	}
	c.portals[name] = p
	return nil
}

// arguments are the values of the parameters of a Bind message.
func (c *session) arguments(p *prepared, m *pgproto3.Bind) ([]any, error) {
	if len(m.Parameters) != len(p.params) {
		return nil, errorf(codeProtocol, "bind message supplies %d parameters, but prepared statement %q requires %d",
			len(m.Parameters), m.PreparedStatement, len(p.params))
	}
	n := len(m.ParameterFormatCodes)
	if n > 1 && n != len(m.Parameters) {
		return nil, errorf(
			codeProtocol,
			"bind message has %d parameter formats but %d parameters",
			n,
			len(m.Parameters),
		)
	}
	args := make([]any, len(m.Parameters))
	for i, raw := range m.Parameters {
		v, err := parameter(c.typeMap, &c.style, i+1, p.params[i], formatOf(m.ParameterFormatCodes, i), raw)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return args, nil
}

func noStatement(name string) *Error {
	if name == "" {
		return errorf(codeNoStatement, "unnamed prepared statement does not exist")
	}
	return errorf(codeNoStatement, "prepared statement %q does not exist", name)
}

func noPortal(name string) *Error { return errorf(codeNoCursor, "portal %q does not exist", name) }

func (c *session) describe(m *pgproto3.Describe) error {
	if m.ObjectType == 'S' {
		p := c.prepared[m.Name]
		if p == nil {
			return noStatement(m.Name)
		}
		c.out.send(&pgproto3.ParameterDescription{ParameterOIDs: p.params})
		c.describeColumns(p.columns, nil)
		return nil
	}
	p := c.portals[m.Name]
	switch {
	case m.ObjectType != 'P':
		return errorf(codeProtocol, "invalid DESCRIBE message subtype %d", m.ObjectType)
	case p == nil:
		return noPortal(m.Name)
	}
	c.describeColumns(p.columns, p.formats)
	return nil
}

func (c *session) describeColumns(columns []column, formats []int16) {
	if columns == nil {
		c.out.send(&pgproto3.NoData{})
		return
	}
	c.out.describe(columns, formats)
}

// execute sends the next rows of a portal.
func (c *session) execute(m *pgproto3.Execute) error {
	p := c.portals[m.Portal]
	if p == nil {
		return noPortal(m.Portal)
	}
	err := c.allowed(p.prepared)
	if err != nil {
		return err
	}
	if p.run == nil {
		c.out.send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	if p.done {
		p.result.rows = nil
		if p.result.count {
			p.result.rows = &memoryRows{}
		}
	}
	ctx, done := c.begins(p.prepared)
	defer done()
	if p.result == nil {
		p.result, err = p.run(ctx, p.args)
		if err != nil {
			return asError(ctx, err)
		}
		if p.result.rows != nil && !p.result.copy && !slices.Equal(p.result.columns, p.columns) {
			return errorf(codeUnsupported, "cached plan must not change result type").
				hint("The view has changed. Prepare the statement again.")
		}
	}
	p.done, err = c.sendRows(ctx, p.result, p.formats, int(min(m.MaxRows, 1<<31-1)))
	if err != nil {
		return asError(ctx, err)
	}
	if p.done {
		p.close()
	}
	return nil
}

func (c *session) close(m *pgproto3.Close) error {
	switch m.ObjectType {
	case 'S':
		delete(c.prepared, m.Name)
	case 'P':
		c.closePortal(m.Name)
	default:
		return errorf(codeProtocol, "invalid CLOSE message subtype %d", m.ObjectType)
	}
	c.out.send(&pgproto3.CloseComplete{})
	return nil
}

func (c *session) closePortal(name string) {
	p := c.portals[name]
	if p != nil {
		p.close()
		delete(c.portals, name)
	}
}

// allowed says whether a statement may run now: in a transaction that has failed only its end may.
func (c *session) allowed(p *prepared) error {
	if c.tx.state != txFailed || p.always {
		return nil
	}
	return errorf(codeFailedTx, "current transaction is aborted, commands ignored until end of transaction block")
}
