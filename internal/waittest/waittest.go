// Package waittest waits in tests for what is sure to come.
package waittest

import (
	"testing"
	"time"
)

// Patience is how long an event may take that is sure to come, on a machine
// that has much else to do.
const Patience = time.Minute

// Eventually repeats look until it finds nothing amiss. It is for what gives no
// sign of its own when it has happened.
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
