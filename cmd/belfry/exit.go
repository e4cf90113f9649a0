package main

import (
	"errors"

	"belfry/internal/command"
	"belfry/streams"
)

// mistake is an error that the same start makes again: what is configured is not
// accepted.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// serveError gives an error of the service its exit code, which tells a service
// manager whether to start it again.
func serveError(err error) error {
	var refused *streams.Refusal
	var configured mistake
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused), errors.As(err, &configured), errors.Is(err, errFolderLost),
		errors.Is(err, streams.ErrForeign), errors.Is(err, streams.ErrPartitions):
		return command.NeedsPerson(err)
	}
	return command.StartAgain(err)
}
