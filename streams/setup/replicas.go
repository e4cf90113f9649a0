package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/streams/asset"
	"belfry/streams/journal"
)

// clusterCopies is how many copies Belfry wants in a cluster.
const clusterCopies = 3

// forming is how long a first start waits for the other servers of a cluster before it
// creates fewer copies than wanted.
const forming = 10 * time.Second

// errCodeAlone means that a server cannot hold the copies: it is alone, or too few others
// are there.
const errCodeAlone = 10074

// copies tracks how many copies of each stream are possible. Only JetStream knows: the
// servers of a cluster need not tell clients about each other.
type copies struct {
	want     int // 0 is not known yet
	explicit bool
	most     int // to try next
	deadline time.Time
}

func (s *Setup) startCopies() {
	want := s.cfg.Replicas
	s.grown = time.Now()
	s.copies = copies{want: want, explicit: want > 0, most: want, deadline: time.Now().Add(forming)}
	if want == 0 {
		s.copies.most = clusterCopies
	}
}

// create creates a stream with as many copies as JetStream accepts.
func (s *Setup) create(make func(replicas int) error) error {
	for {
		err := make(s.copies.most)
		var api *jetstream.APIError
		switch {
		case err == nil:
			if s.copies.want == 0 {
				s.copies.want = s.copies.most
			}
			s.replicas = max(s.replicas, s.copies.most)
			return nil
		case !errors.As(err, &api) || s.copies.most == 1:
			return err
		case api.ErrorCode == errCodeAlone && !s.copies.explicit:
			s.copies.want, s.copies.most = 1, 1
		case api.ErrorCode == journal.ErrCodeNoPeers && time.Now().After(s.copies.deadline):
			if s.copies.want == 0 {
				s.copies.want = s.copies.most
			}
			s.copies.most -= 2 // an even number tolerates no more failures
		default:
			return err
		}
	}
}

// grow gives the streams as many copies as wanted, where JetStream can hold them, and
// logs those that have fewer.
func (s *Setup) grow(ctx context.Context, atStart bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var few, more []string
	var reason error
	list := s.js.ListStreams(ctx)
	var all []*jetstream.StreamInfo
	listed := map[string]bool{}
	for info := range list.Info() {
		listed[info.Config.Name] = true
		if s.cfg.Assets.Has(info.Config.Name) && asset.IsBelfrys(info.Config) {
			all = append(all, info)
		}
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("couldn't look at the copies of the streams: %w", err)
	}
	want := s.copies.want
	clustered := slices.ContainsFunc(all, func(i *jetstream.StreamInfo) bool { return i.Cluster != nil && i.Cluster.Name != "" })
	if want == 0 || !s.copies.explicit && clustered {
		want = 1
		if clustered {
			want = clusterCopies
		}
	}
	for _, info := range all {
		cfg := info.Config
		switch {
		case cfg.Replicas > want && s.copies.explicit:
			more = append(more, cfg.Name)
		case cfg.Replicas >= want:
			continue
		case !clustered:
			few, reason = append(few, cfg.Name), errors.New("the server is in no cluster")
			continue
		}
		if cfg.Replicas > want {
			continue
		}
		was := cfg.Replicas
		cfg.Replicas = want
		if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
			few, reason = append(few, cfg.Name), err
			continue
		}
		s.cfg.Log.Info("a stream gets more copies", "stream", cfg.Name, "had", was, "gets", want)
	}
	s.told.Lock()
	news := len(s.few) == 0 && len(few) > 0
	s.few = few
	s.told.Unlock()
	// JetStream leaves out streams without a leader.
	s.unlisted = slices.ContainsFunc(s.cfg.Assets.StreamNames(s.partitions), func(name string) bool { return !listed[name] })
	if clustered && atStart {
		s.replicas = max(s.replicas, want) // other processes may make them more at any time
	}
	if len(few) > 0 && (atStart || news) {
		s.cfg.Log.Warn(fault.FewCopies, "wanted", want, "streams", strings.Join(few, " "), "error", reason)
	}
	if len(more) > 0 && atStart {
		s.cfg.Log.Warn("streams have more copies than --replicas says; they keep them", "replicas", want, "streams", strings.Join(more, " "))
	}
	return nil
}

// growLater repeats what a start could not do.
func (s *Setup) growLater(ctx context.Context) error {
	s.told.Lock()
	due := (len(s.few) > 0 || s.unlisted) && time.Since(s.grown) > s.cfg.GrowEvery
	s.told.Unlock()
	if !due {
		return nil
	}
	s.grown = time.Now()
	return s.grow(ctx, false)
}
