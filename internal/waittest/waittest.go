// Package waittest waits in tests for events that are sure to come.
package waittest

import (
	"testing"
	"time"
)

// Patience is how long an event that is sure to come may take on a busy machine.
const Patience = time.Minute

// Eventually repeats look until it finds nothing amiss. It is for events that give no
// sign of their own.
func Eventually(t testing.TB, look func() (amiss string)) {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		amiss := look()
		if amiss == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", Patience, amiss)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}
