package fires

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	limits "golang.org/x/time/rate"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/streams/asset"
	"belfry/streams/due"
	"belfry/streams/journal"
	"belfry/streams/timer"
	"belfry/streams/wire"
)

// FIRES keeps each fire for its maximum age, even after it was acked. With a max_bytes,
// FIRES fills up with acked fires and would refuse new ones. So before it is full, the
// node that owns the first partition removes the oldest fires that their route has acked.
// Unacked fires stay, and so do all that somebody may still look for:
//
//   - fires behind the fires_after of a claim of their route, which a takeover
//     looks for;
//   - the newest fires, whose claims the tails may not know yet;
//   - all fires while there are advisories, since fires that a subscriber refused or
//     exhausted may not be in DEAD yet.

const (
	// roomLow is the part of max_bytes, in percent, down to which fires are removed.
	roomLow = 60
	// roomAge is the minimum age of fires that are removed. tailAge is how long ago the
	// tails had all claims at most.
	roomAge = 30 * time.Second
	tailAge = 10 * time.Second
	// adviceWait is how long an advisory may take to reach its stream.
	adviceWait = time.Second
)

// roomMaker removes acked fires. It is safe for concurrent use.
type roomMaker struct {
	js     jetstream.JetStream
	w      *journal.Writer
	log    *slog.Logger
	timers []*timer.Timer // by partition
	index  due.Index      // of their claims
	every  time.Duration

	age  time.Duration
	told limits.Sometimes // limits the log about a stream that stays full

	lasts []agedAt          // the last sequences of FIRES; only run uses it
	done  map[string]uint64 // the sequence up to which each subject was cleared; only run uses it
	made  time.Time         // when the FIRES that these are about was created

	mu      sync.Mutex // held while fires are removed; guards what follows
	cleared int64      // how many fires were removed since the last call of between
	unsure  bool       // more may have been removed
}

// run makes room again and again, until ctx ends.
func (r *roomMaker) run(ctx context.Context) {
	for journal.Sleep(ctx, r.every) {
		if !r.w.NC.IsConnected() {
			continue
		}
		if err := r.look(ctx); err != nil && ctx.Err() == nil && !journal.IsLogged(err) {
			r.told.Do(func() { loglimit.Warn(r.log, "couldn't make room in FIRES", "error", err) })
		}
	}
}

func (r *roomMaker) look(ctx context.Context) error {
	stream, err := r.js.Stream(ctx, r.w.Names.FiresStream())
	if err != nil {
		return nil // the audit and /readyz report it
	}
	info := stream.CachedInfo()
	if !info.Created.Equal(r.made) {
		r.made, r.lasts, r.done = info.Created, nil, map[string]uint64{}
	}
	oldest := r.saw(time.Now(), info.State.LastSeq)
	if !r.timers[0].Owns() || !asset.NearlyFull(info.Config.MaxBytes, info.State.Bytes, asset.RoomHigh) || oldest <= info.State.FirstSeq || !r.tailsKnow() {
		return nil
	}
	floors, err := r.floors(ctx, stream)
	if err != nil || !journal.Sleep(ctx, adviceWait) {
		return err
	}
	if advised, err := r.advised(ctx); err != nil || advised {
		return err
	}
	return r.clear(ctx, stream, floors, oldest)
}

// saw records the last sequence, and returns the sequence up to which fires are old
// enough.
func (r *roomMaker) saw(now time.Time, last uint64) (oldest uint64) {
	r.lasts = append(r.lasts, agedAt{now, last})
	for len(r.lasts) > 1 && now.Sub(r.lasts[1].at) >= r.age {
		r.lasts = r.lasts[1:]
	}
	if now.Sub(r.lasts[0].at) < r.age {
		return 0
	}
	return r.lasts[0].last
}

// tailsKnow reports whether the timers of all partitions know every claim that is older
// than tailAge and a little.
func (r *roomMaker) tailsKnow() bool {
	since := time.Now().Add(-tailAge)
	for _, t := range r.timers {
		if t.CaughtUp().Before(since) {
			return false
		}
	}
	return true
}

// floors returns, for each route, the sequence up to which it has acked its fires.
func (r *roomMaker) floors(ctx context.Context, stream jetstream.Stream) (map[job.RouteKey]uint64, error) {
	floors := map[job.RouteKey]uint64{}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		k := job.RouteKey{DB: info.Config.Metadata[wire.MetadataDB], ID: info.Config.Metadata[wire.MetadataRoute]}
		if info.Name == wire.InboxConsumer(k) && info.Config.FilterSubject == r.w.Names.FireSubject(k) {
			floors[k] = info.AckFloor.Stream
		}
	}
	return floors, consumers.Err()
}

// advised reports whether there are advisories that nobody has acted on.
func (r *roomMaker) advised(ctx context.Context) (bool, error) {
	c, err := r.js.Consumer(ctx, r.w.Names.AdvisoryStream(), wire.BuryConsumer)
	if err != nil {
		return true, fmt.Errorf("couldn't look for advisories: %w", err)
	}
	is := c.CachedInfo()
	return is.NumPending > 0 || is.NumAckPending > 0, nil
}

// clear removes acked fires, the oldest quarter first, until there is room.
func (r *roomMaker) clear(ctx context.Context, stream jetstream.Stream, floors map[job.RouteKey]uint64, oldest uint64) error {
	claims := map[job.RouteKey]uint64{}
	for p := range r.timers {
		r.index.Partition(p).Earliest(claims)
	}
	first, total := stream.CachedInfo().State.FirstSeq, uint64(0)
	for quarter := uint64(1); quarter <= 4; quarter++ {
		cut := first + (oldest-first)*quarter/4
		for k, floor := range floors {
			upTo := min(cut, floor)
			if after, stands := claims[k]; stands {
				upTo = min(upTo, after)
			}
			n, err := r.purge(ctx, r.w.Names.FireSubject(k), upTo)
			if err != nil {
				return err
			}
			total += n
		}
		info, err := stream.Info(ctx)
		if err != nil {
			return err
		}
		if !asset.NearlyFull(info.Config.MaxBytes, info.State.Bytes, roomLow) {
			break
		}
		if quarter == 4 && asset.NearlyFull(info.Config.MaxBytes, info.State.Bytes, asset.RoomHigh) {
			r.told.Do(func() {
				r.log.Warn("FIRES is nearly full of fires that are not acked yet, or are new; once it is full nothing fires",
					"bytes", info.State.Bytes, "max_bytes", info.Config.MaxBytes, "do", "raise max_bytes of the stream, or look after the routes with the most fires")
			})
		}
	}
	if total > 0 {
		r.log.Info("acked fires were removed from FIRES before their age, to make room for new ones", "fires", total)
	}
	return nil
}

// purge removes the fires on a subject up to a sequence, and returns how many it removed.
func (r *roomMaker) purge(ctx context.Context, subject string, upTo uint64) (uint64, error) {
	if upTo <= r.done[subject] {
		return 0, nil
	}
	question, err := json.Marshal(map[string]any{"filter": subject, "seq": upTo + 1})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := r.w.Request(ctx, &nats.Msg{Subject: wire.PurgeOf(r.w.Names.FiresStream()), Data: question})
	var answer struct {
		Purged uint64              `json:"purged"`
		Error  *jetstream.APIError `json:"error"`
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &answer)
	}
	switch {
	case err != nil:
		r.unsure = true
		return 0, err
	case answer.Error != nil:
		return 0, answer.Error
	}
	r.done[subject] = upTo
	r.cleared += int64(answer.Purged)
	return answer.Purged, nil
}

// between calls look while nothing is removed from FIRES, and adds to now what was
// removed since the last call.
func (r *roomMaker) between(look func() error, now *firesState) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := look(); err != nil {
		return err
	}
	now.cleared, now.unsure = r.cleared, now.unsure || r.unsure
	r.cleared, r.unsure = 0, false
	return nil
}
