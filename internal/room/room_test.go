package room_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry/internal/room"
)

// An owner gets half of what the others leave, so the next one always has some.
func TestAnOwnerGetsHalfOfWhatTheOthersLeave(t *testing.T) {
	t.Parallel()
	p := room.New(room.Config{Bytes: 1024})
	left := int64(1024)
	for i := range 5 {
		name := fmt.Sprint(i)
		got := int64(0)
		for p.TryTake(name, 1) {
			got++
		}
		if want := left / 2; got != want {
			t.Errorf("owner %d got %d of %d, want %d", i, got, left, want)
		}
		left -= got
	}
	p.Give("0", 512)
	if !p.TryTake("new", 300) {
		t.Error("what the first owner gave back is not there for a new one")
	}
}

func TestWhoHoldsLeastIsServedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := room.New(room.Config{Bytes: 100})
		hold(t, p, "greedy", 50)
		hold(t, p, "other", 50)
		var order []string
		for _, name := range []string{"greedy", "new", "greedy"} {
			go func() {
				if _, err := p.Take(t.Context(), name, 30); err == nil {
					order = append(order, name)
				}
			}()
			synctest.Wait()
		}
		p.Give("greedy", 20)
		synctest.Wait()
		if len(order) != 0 {
			t.Fatalf("%v got 30 of 20 bytes", order)
		}
		p.Give("other", 10)
		synctest.Wait()
		if len(order) != 1 || order[0] != "new" {
			t.Errorf("%v were served, want the new owner, though another one has waited longer", order)
		}
		p.Give("other", 40)
		p.Give("greedy", 30)
		p.Give("new", 30)
		synctest.Wait()
		if len(order) != 2 {
			t.Errorf("%v were served, want one of the greedy owner, up to its half", order)
		}
		time.Sleep(room.DefaultPatience)
	})
}

// An owner that has reached its share keeps nobody else waiting.
func TestAFullOwnerKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := room.New(room.Config{Bytes: 100})
		hold(t, p, "greedy", 50)
		begun := time.Now()
		full := make(chan error, 1)
		go func() {
			_, err := p.Take(t.Context(), "greedy", 10)
			full <- err
		}()
		synctest.Wait()
		for _, name := range []string{"a", "b", "c"} {
			hold(t, p, name, 5)
		}
		if err := <-full; !errors.Is(err, room.ErrFull) {
			t.Errorf("more than its half: %v, want ErrFull", err)
		}
		if waited := time.Since(begun); waited < room.DefaultPatience*3/4 || waited > room.DefaultPatience {
			t.Errorf("it waited %v, want nearly %v", waited, room.DefaultPatience)
		}
		if held := p.Held(); held != 65 {
			t.Errorf("%d bytes are held, want 65", held)
		}
	})
}

func TestWhoLeavesKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := room.New(room.Config{Bytes: 100})
		hold(t, p, "a", 50)
		hold(t, p, "b", 25)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := p.Take(ctx, "large", 50)
			left <- err
		}()
		synctest.Wait()
		served := make(chan error, 1)
		go func() {
			_, err := p.Take(t.Context(), "small", 10)
			served <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v, want Canceled", err)
		}
		if err := <-served; err != nil {
			t.Errorf("who waited behind: %v", err)
		}
	})
}

func TestTicket(t *testing.T) {
	t.Parallel()
	p := room.New(room.Config{Bytes: 100})
	k := p.Ticket("db")
	if err := k.Add(t.Context(), 1000); err != nil || k.Held() != 50 {
		t.Errorf("more than there is: %v, and %d are held, want 50", err, k.Held())
	}
	k.Keep(10)
	k.Settle(200) // it is there already
	if k.Held() != 200 || p.Held() != 200 {
		t.Errorf("settled: the ticket holds %d and the pool %d, want 200", k.Held(), p.Held())
	}
	if p.TryTake("other", 1) {
		t.Error("there is room beyond the end")
	}
	k.Close()
	k.Close()
	if p.Held() != 0 {
		t.Errorf("after all are closed %d are held", p.Held())
	}
	if room.Of(room.With(t.Context(), k)) != k || room.Of(t.Context()) != nil {
		t.Error("a context does not carry its ticket")
	}
	for _, none := range []*room.Ticket{nil, (*room.Pool)(nil).Ticket("db")} {
		if none.Add(t.Context(), 1<<40) != nil || !none.TryAdd(1<<40) || none.Held() != 0 {
			t.Error("without a pool there is no room")
		}
		none.Settle(1)
		none.Close()
	}
}

// The pool never holds more than it has, in any order of calls, and all of it is
// given back.
func TestAllComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bytes = 1000
		p := room.New(room.Config{Bytes: bytes})
		var all sync.WaitGroup
		var served, refused atomic.Int64
		for i := range 300 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(5))*time.Second)
					name := fmt.Sprint(r.IntN(8))
					took, err := p.Take(ctx, name, int64(1+r.IntN(600)))
					cancel()
					if held := p.Held(); held > bytes {
						t.Errorf("%d of %d bytes are held", held, bytes)
					}
					if err != nil {
						refused.Add(1)
						continue
					}
					served.Add(1)
					time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
					p.Give(name, took)
				}
			})
		}
		all.Wait()
		if p.Held() != 0 || served.Load() == 0 || refused.Load() == 0 {
			t.Errorf("%d bytes are held in the end; %d were served and %d refused", p.Held(), served.Load(), refused.Load())
		}
	})
}

func hold(t *testing.T, p *room.Pool, name string, n int64) {
	t.Helper()
	if took, err := p.Take(t.Context(), name, n); err != nil || took != n {
		t.Fatalf("%s took %d of %d: %v", name, took, n, err)
	}
}

// Owners that have reached their share keep nobody from trying, and users of TryTake
// learn when there may be room.
func TestTryTakeBesideAFullOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := room.New(room.Config{Bytes: 100})
		freed := 0
		p.OnFreed(func() { freed++ })
		hold(t, p, "greedy", 50)
		go func() { _, _ = p.Take(t.Context(), "greedy", 10) }()
		synctest.Wait()
		if !p.TryTake("other", 20) {
			t.Error("there is no room beside an owner that waits for itself")
		}
		if p.TryTake("other", 20) {
			t.Error("an owner gets more than half of what the others leave")
		}
		p.Give("other", 20)
		if freed != 1 || p.HeldBy("greedy") != 50 || p.HeldBy("other") != 0 {
			t.Errorf("told %d times; %d and %d bytes are held; want once, 50 and 0", freed, p.HeldBy("greedy"), p.HeldBy("other"))
		}
		time.Sleep(room.DefaultPatience)
	})
}

// While the brake is on, large takes pass one by one, and small ones pass as always.
func TestBrake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const large = 100 << 10
		p := room.New(room.Config{Bytes: 100 * large})
		p.Brake(true)
		for want := 1; want < 4; want++ {
			if !p.TryTake("a", large) {
				t.Error("no large take passes after the brake was pulled")
			}
			if p.TryTake("b", large) {
				t.Error("two pass at once")
			}
			if !p.TryTake("b", 10) {
				t.Error("a small one does not pass")
			}
			p.Brake(true)
		}
		p.TryTake("a", large) // the one that may try
		var taken atomic.Int64
		for _, name := range []string{"c", "d", "e"} {
			go func() {
				if _, err := p.Take(t.Context(), name, large); err == nil {
					taken.Add(1)
				}
			}()
		}
		synctest.Wait()
		for want := range int64(2) {
			if taken.Load() != want {
				t.Errorf("%d of those that wait have passed, want %d", taken.Load(), want)
			}
			if !p.TryTake("f", 10) {
				t.Error("a small one does not pass those that wait")
			}
			p.Brake(true)
			synctest.Wait()
		}
		p.Brake(false)
		synctest.Wait()
		if taken.Load() != 3 || !p.TryTake("a", large) {
			t.Errorf("without the brake %d have passed, want 3, and the next", taken.Load())
		}
	})
}
