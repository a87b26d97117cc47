package pg

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/velo-engine/velo/pg/catalog"
)

// SQLSTATEs that clients know.
const (
	codeProtocol       = "08P01"
	codeUnsupported    = "0A000"
	codeBadValue       = "22023"
	codeBadText        = "22P02"
	codeBadEncoding    = "22021"
	codeBadBinary      = "22P03"
	codeActiveTx       = "25001"
	codeReadOnly       = "25006"
	codeNoTx           = "25P01"
	codeFailedTx       = "25P02"
	codeIdleInTx       = "25P03"
	codeNoStatement    = "26000"
	codeBadAuth        = "28000"
	codeBadPassword    = "28P01"
	codeNoCursor       = "34000"
	codeNoSavepoint    = "3B001"
	codeSyntax         = "42601"
	codeDuplicateStmt  = "42P05"
	codeDuplicateCur   = "42P03"
	codeUndefinedParam = "42P02"
	codeUndefinedObj   = "42704"
	codeUndefinedTable = "42P01"
	codeUndefinedCol   = "42703"
	codeUnknownType    = "42P18"
	codeOutOfMemory    = "53200"
	codeTooMany        = "53300"
	codeLimit          = "54000"
	codeNotReady       = "55000"
	codeCanceled       = "57014"
	codeShutdown       = "57P01"
	codeIdle           = "57P05"
	codeSnapshotOld    = "72000"
	codeInternal       = "XX000"
)

// An Error is an error with its SQLSTATE. A Source may return it.
type Error struct {
	Code     string
	Message  string
	Detail   string
	Hint     string
	Position int // where in the statement, in bytes from 0; -1 if nowhere
	fatal    bool
}

func (e *Error) Error() string { return e.Message }

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Position: -1}
}

func (e *Error) hint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) at(pos int) *Error {
	e.Position = pos
	return e
}

// Why a statement was ended before it was done.
var (
	errCanceled = errors.New("canceling statement due to user request")
	errTimeout  = errors.New("canceling statement due to statement timeout")
	errGone     = errors.New("the client is gone")
	errShutdown = errors.New("terminating connection because the server is stopping")
)

// asError gives an error its SQLSTATE. ctx is the context of the statement: if it has ended, its
// cause is the reason.
func asError(ctx context.Context, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var c *catalog.Error
	if errors.As(err, &c) {
		return &Error{Code: c.Code, Message: c.Message, Hint: c.Hint, Position: c.Pos}
	}
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		switch {
		case errors.Is(cause, errShutdown):
			f := errorf(codeShutdown, "%v", errShutdown)
			f.fatal = true
			return f
		case errors.Is(cause, errTimeout), errors.Is(cause, context.DeadlineExceeded):
			return errorf(codeCanceled, "%v", errTimeout).hint("SET statement_timeout gives it more time.")
		}
		return errorf(codeCanceled, "%v", errCanceled)
	}
	return sourceError(err)
}

// response is the message of an error. Positions of PostgreSQL count characters from 1.
func (e *Error) response(text string) *pgproto3.ErrorResponse {
	severity := "ERROR"
	if e.fatal {
		severity = "FATAL"
	}
	r := &pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity,
		Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint,
	}
	if e.Position >= 0 && e.Position <= len(text) {
		r.Position = int32(utf8.RuneCountInString(text[:e.Position])) + 1
	}
	return r
}
