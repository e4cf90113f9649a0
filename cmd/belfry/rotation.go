package main

import (
	"context"
	"time"
)

// A start may meet files that somebody is replacing, such as a certificate whose key is
// not written yet. So it reads them again for rotationWait before it calls that a
// mistake, which no service manager retries.
const (
	rotationWait  = time.Second
	rotationEvery = 50 * time.Millisecond
)

// untilWhole reads files until they can be used, for a bounded time.
func untilWhole[T any](ctx context.Context, read func() (T, error)) (T, error) {
	for began := time.Now(); ; {
		got, err := read()
		if err == nil || time.Since(began) >= rotationWait || !pause(ctx, rotationEvery) {
			return got, err
		}
	}
}
