package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"belfry/api/client"
)

// These are the exit codes of the program.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitForbidden   = 4
	exitConflict    = 5
	exitUnavailable = 6
	exitAgain       = 75  // EX_TEMPFAIL of sysexits.h
	exitPerson      = 78  // EX_CONFIG
	exitInterrupted = 130 // as shells report SIGINT
)

// Exit is a row of the table of exit codes.
type Exit struct {
	Code    int
	Meaning string

	// Errors are the API's error codes that end in this exit code. A code that ends
	// in an x stands for all codes that begin the same.
	Errors []string
}

// exits is the single list of the exit codes. An error code that it omits ends in
// [exitFailed].
var exits = []Exit{
	{exitOK, "Done.", nil},
	{exitFailed, "Failed, also if some of many things failed, or for a reason that has no code here.", nil},
	{exitUsage, "The command line, a file, or what the server was asked for is not accepted; nothing was done.", []string{"E0xx"}},
	{exitNotFound, "There is no such job, route, dead letter or token.", []string{"E101", "E106", "E121", "E131"}},
	{exitForbidden, "The token is absent or may not do this; or there is no authentication, and the server was asked by a name that is not of its machine.", []string{"E401", "E402", "E403", "E411", "E412"}},
	{exitConflict, "It stands as it is: the id is taken, it is too late, or it has changed meanwhile.",
		[]string{"E102", "E103", "E104", "E105", "E107", "E108", "E109", "E110", "E111", "E112", "E141", "E306"}},
	{exitUnavailable, "The server cannot be reached, or cannot do it now. It is safe to try again; where a second try would make a second thing, the error says what to do.", []string{"E302", "E303", "E304", "E305", "E429"}},
	{exitAgain, "Only of `belfry serve`: it could not start, go on or stop as it should, for a reason that may pass, such as a full disk, a taken port, or a NATS server that is away or does not take its user. Start it again.", nil},
	{exitPerson, "Only of `belfry serve`: a person is needed. Its configuration is not accepted, a file may not be read or written, its data is missing or not where it was, JetStream refuses what Belfry needs, or streams that are not Belfry's are in the way. The same start fails again.", nil},
	{exitInterrupted, "Interrupted by a signal.", nil},
}

// Exits lists the exit codes in order.
func Exits() []Exit { return slices.Clone(exits) }

// has reports whether an error code of the API belongs to the row.
func (e Exit) has(code string) bool {
	return slices.ContainsFunc(e.Errors, func(row string) bool {
		prefix, all := strings.CutSuffix(row, "xx")
		return row == code || all && strings.HasPrefix(code, prefix)
	})
}

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// Usage marks an error as a mistake on the command line.
func Usage(err error) error { return coded{err, exitUsage} }

// StartAgain marks an error after which a service should be started again.
func StartAgain(err error) error { return coded{err, exitAgain} }

// NeedsPerson marks an error that stays until a person has done something.
func NeedsPerson(err error) error { return coded{err, exitPerson} }

// usagef makes a new error and marks it with [Usage].
func usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// conflict returns an error about something that prevents a valid request.
func conflict(format string, args ...any) error {
	return coded{fmt.Errorf(format, args...), exitConflict}
}

// advised is an error that leaves open whether the request was carried out, and says
// how to continue.
type advised struct {
	error
	advice string
}

func (a advised) Error() string { return a.error.Error() + "; " + a.advice }
func (a advised) Unwrap() error { return a.error }

// advise adds advice to the error of a request whose repeat would create a second
// thing. It adds none if the server has said that the first was not created.
func advise(err error, advice string, args ...any) error {
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && (refused.Status < 500 || refused.Code == "E302"):
		return err
	case refused == nil && !errors.Is(err, client.ErrUnreachable):
		return err
	}
	return advised{err, fmt.Sprintf(advice, args...)}
}

// ExitCode returns the exit code for the error that a command returned.
func ExitCode(err error) int {
	var own coded
	var refused *client.Error
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &refused):
		return exitOfAnswer(refused)
	case errors.Is(err, client.ErrUnreachable):
		return exitUnavailable
	}
	return exitFailed
}

// exitOfAnswer returns the exit code for an answer that is not a success. The answer
// may also come from a proxy, which has none of Belfry's codes.
func exitOfAnswer(e *client.Error) int {
	for _, row := range exits {
		if row.has(e.Code) {
			return row.Code
		}
	}
	switch {
	case e.Code != "":
	case e.Status == 401 || e.Status == 403:
		return exitForbidden
	case e.Status == 429 || e.Status >= 502 && e.Status <= 504:
		return exitUnavailable
	}
	return exitFailed
}

// Message returns the one line that tells people why a command failed.
func Message(err error) string {
	var open advised
	switch interrupted := ExitCode(err) == exitInterrupted; {
	case interrupted && errors.As(err, &open):
		return printable("interrupted; " + open.advice)
	case interrupted:
		return "interrupted"
	}
	return printable(err.Error())
}
