package lease

import "context"

// Partition is one part of the jobs. Its methods may be called at any time.
type Partition interface {
	// Run fires the jobs of the partition while it is to own it, until ctx ends. It
	// returns when the fires that it has begun are finished.
	Run(ctx context.Context)

	// Own orders it to own the partition. It returns when the order is taken, or ctx
	// ends.
	Own(ctx context.Context)

	// Release orders it to release the partition. It returns when its last fires are
	// finished, or after a bounded time. It reports whether ctx let it.
	Release(ctx context.Context) bool

	// Owns reports whether it fires what comes due.
	Owns() bool

	// Replaced reports whether another process has taken the partition from it.
	Replaced() bool

	// SetUnleased records whether the partition is free and ours to take while its lease
	// cannot be written.
	SetUnleased(unleased bool)

	// Idle says why it does not fire, in words for humans.
	Idle() string
}
