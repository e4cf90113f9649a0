package journal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"belfry/internal/room"
)

// A turn that others wait for is followed by a rest. The rest goes on while something
// fires, but not forever.
func TestTurnsComeBetweenFires(t *testing.T) {
	t.Parallel()
	const work = 2 * time.Millisecond
	for _, c := range []struct {
		name        string
		fires       time.Duration // something fires for this long from the start of the rest
		own         bool          // the same request waits
		least, most time.Duration // when the next turn begins, after the end of the first
	}{
		{"nothing fires", 0, false, turnRest * work, turnRest * work},
		{"something fires", 20 * time.Millisecond, false, 20 * time.Millisecond, 20*time.Millisecond + turnLook},
		{"it never ends", time.Hour, false, WalkRest - turnLook, WalkRest + turnLook},
		{"nobody else waits", time.Hour, true, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var quiet time.Time
				turns := NewTurns(func() bool { return time.Now().Before(quiet) })
				request := func() context.Context {
					return room.With(t.Context(), room.New(room.Config{Bytes: 1}).Ticket("db"))
				}
				ctx := request()
				over, err := turns.Take(ctx, WalkRest)
				if err != nil {
					t.Fatal(err)
				}
				if c.own {
					ctx = room.With(ctx, room.Of(ctx).Beside())
				} else {
					ctx = request()
				}
				began := make(chan time.Time, 1)
				go func() {
					over, err := turns.Take(ctx, WalkRest)
					if err != nil {
						t.Error(err)
						return
					}
					began <- time.Now()
					over()
				}()
				time.Sleep(work)
				synctest.Wait()
				ended := time.Now()
				quiet = ended.Add(c.fires)
				over()
				if after := (<-began).Sub(ended); after < c.least || after > c.most {
					t.Errorf("the next turn begins after %v, want between %v and %v", after, c.least, c.most)
				}
			})
		})
	}
}
