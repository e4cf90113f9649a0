// Package panics keeps a panic in a callback from ending the process.
//
// It is the last resort: what parses a message refuses one that is wrong, and
// never panics. Should it panic all the same, the message is lost and the
// process lives on. Code whose state may be half changed by then must not use
// it: such a process ends, and recovers at its next start.
package panics

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// Recover must be deferred where a callback begins. It logs a panic of place with its
// stack, and counts it. It logs the panic's value only if the runtime made it, since
// any other value may quote a message.
func Recover(log *slog.Logger, place string, count func()) {
	if v := recover(); v != nil {
		tell(log, place, count, v)
	}
}

// ErrPanicked is what [Return] returns.
var ErrPanicked = errors.New("it panicked; the log has the stack")

// Return is [Recover] for a callback that returns an error, which becomes
// [ErrPanicked] after a panic.
func Return(log *slog.Logger, place string, count func(), err *error) {
	if v := recover(); v != nil {
		tell(log, place, count, v)
		*err = ErrPanicked
	}
}

func tell(log *slog.Logger, place string, count func(), v any) {
	count()
	log.Error("panic in a callback; its message is dropped", "place", place, "panic", said(v), "stack", string(debug.Stack()))
}

func said(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T", v)
}
