package routes

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// floors holds the ack floors of the routes' consumers as they were last seen: the
// sequence in FIRES up to which everything was acked. A consumer that somebody else
// removed is recreated behind its floor. The floors are also kept in the bucket belfry,
// for consumers that are removed while Belfry is away. A floor that is too old does no
// harm: its consumer hands out more fires once more. It is safe for concurrent use.
type floors struct {
	w *journal.Writer

	mu    sync.Mutex // guards what follows
	fires time.Time  // the creation time of the FIRES that the floors are about
	known map[string]Floor
	saved [floorKeys]uint64 // the hash of each key's last written value

	Loaded bool // known includes what others saved; only the audit uses it
}

// Floor is what is kept about one consumer.
type Floor struct {
	Acked uint64    `json:"acked"`
	Made  time.Time `json:"made"` // when the consumer was made
}

// floorKeys is how many keys the floors are spread over, so that no key gets too large
// and each round writes few.
const floorKeys = 64

// savedFloors is the value of one of the keys.
type savedFloors struct {
	Fires     time.Time        `json:"fires"`
	Consumers map[string]Floor `json:"consumers"`
}

// Note records the floor of a consumer.
func (f *floors) Note(name string, seen Floor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]Floor{}
	}
	f.known[name] = seen
}

// forget drops a consumer that Belfry has removed itself.
func (f *floors) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, name)
}

// Seen returns the last known floor of a consumer, seen by this process or another.
func (f *floors) Seen(ctx context.Context, name string) (Floor, bool) {
	f.mu.Lock()
	seen, ok := f.known[name]
	f.mu.Unlock()
	if ok {
		return seen, true
	}
	kept, err := f.Read(ctx, FloorKeyOf(name))
	seen, ok = kept.Consumers[name]
	return seen, err == nil && ok && kept.Fires.Equal(f.era())
}

func (f *floors) era() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fires
}

// Begin sets when FIRES was created; floors of an earlier FIRES are dropped.
func (f *floors) Begin(fires time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.fires.Equal(fires) {
		f.fires, f.known = fires, map[string]Floor{}
	}
}

// Load adds the floors that others saved, once, before they are overwritten.
func (f *floors) Load(ctx context.Context) error {
	if f.Loaded {
		return nil
	}
	for key := range floorKeys {
		kept, err := f.Read(ctx, key)
		if err != nil {
			return err
		}
		if !kept.Fires.Equal(f.era()) {
			continue
		}
		f.mu.Lock()
		for name, seen := range kept.Consumers {
			if _, ok := f.known[name]; !ok {
				f.known[name] = seen
			}
		}
		f.mu.Unlock()
	}
	f.Loaded = true
	return nil
}

// KeepOnly drops the consumers that are gone and whose routes are gone, too.
func (f *floors) KeepOnly(there map[string]*jetstream.ConsumerInfo, routes []job.Route) {
	names := map[string]bool{BuryFloor: true}
	for _, r := range routes {
		names[wire.InboxConsumer(r.RouteKey)] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.known, func(name string, _ Floor) bool { return there[name] == nil && !names[name] })
}

// Read returns the value of a key, or an empty one if it cannot be decoded.
func (f *floors) Read(ctx context.Context, key int) (savedFloors, error) {
	m, found, err := f.w.LastOnLeader(ctx, f.w.Names.BelfryStream(), f.w.Names.BelfrySubject(wire.FloorKey(key)))
	if err != nil || !found || wire.IsMarker(m.Header) {
		return savedFloors{}, err
	}
	var kept savedFloors
	if json.Unmarshal(m.Data, &kept) != nil {
		return savedFloors{}, nil // written by somebody else
	}
	return kept, nil
}

// Save writes the keys whose values have changed since the last write.
func (f *floors) Save(ctx context.Context) error {
	for key, now := range f.byKey() {
		data, err := json.Marshal(now)
		if err != nil {
			return err
		}
		h := fnv.New64a()
		h.Write(data) // a Hash never returns an error
		sum := h.Sum64()
		f.mu.Lock()
		same := f.saved[key] == sum
		f.mu.Unlock()
		if same {
			continue
		}
		if _, err := f.w.Send(ctx, &nats.Msg{Subject: f.w.Names.BelfrySubject(wire.FloorKey(key)), Header: nats.Header{}, Data: data}); err != nil {
			return err
		}
		f.mu.Lock()
		f.saved[key] = sum
		f.mu.Unlock()
	}
	return nil
}

func (f *floors) byKey() (all [floorKeys]savedFloors) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range all {
		all[i] = savedFloors{Fires: f.fires, Consumers: map[string]Floor{}}
	}
	for name, seen := range maps.All(f.known) {
		all[FloorKeyOf(name)].Consumers[name] = seen
	}
	return all
}

func FloorKeyOf(consumer string) int {
	h := fnv.New32a()
	h.Write([]byte(consumer)) // a Hash never returns an error
	return int(h.Sum32() % floorKeys)
}

// BuryFloor is the name under which the floor of [wire.BuryConsumer] is kept.
const BuryFloor = "ADVISORIES." + wire.BuryConsumer
