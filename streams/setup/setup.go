package setup

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// A start waits this long for its own server's JetStream to create what is missing, and
// for each answer of any server. It waits for an external server as long as it takes.
const (
	patience = time.Minute
	tryTime  = 3 * time.Second
)

// Run refuses foreign streams that are in the way, compares the existing streams with
// what Belfry has created, creates the streams and buckets that are missing at a first
// start or that are new in this version, and mends the others. Nothing is created or
// changed before the comparison is over.
//
// It repeats while JetStream does not answer: a cluster may be without a leader for a
// while, and of two nodes that create a stream at the same moment one may get no answer.
// All steps are safe to repeat.
func (s *Setup) Run(ctx context.Context) error {
	if s.cfg.OnlyNode { // our own server is ready soon, or never
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	s.startCopies()
	if err := s.untilReady(ctx, func() error { return s.refuseForeign(ctx) }); err != nil {
		return err
	}
	var recreated []string
	var first bool
	err := s.untilReady(ctx, func() (err error) {
		recreated, first, err = s.compare(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.untilReady(ctx, func() error { return s.setupOnce(ctx, recreated) }); err != nil {
		return err
	}
	if first {
		about := []any{"in", s.cfg.Place}
		if len(s.beside) > 0 {
			about = append(about, "names", s.names.Describe(), "beside", s.beside)
		}
		s.cfg.Log.Warn(fault.NewStore, about...)
	}
	if err := s.untilReady(ctx, func() error { return s.grow(ctx, true) }); err != nil {
		return err
	}
	return s.untilReady(ctx, func() error { return s.checkDamage(ctx, recreated) })
}

// untilReady repeats a step of the setup while JetStream is not ready.
func (s *Setup) untilReady(ctx context.Context, step func() error) error {
	pause := journal.NewBackOff(100*time.Millisecond, 2*time.Second)
	for {
		failed := step()
		err := WhyNotReady(failed)
		if err == nil || !journal.IsPassing(failed) || !journal.Sleep(ctx, pause.NextBackOff()) {
			return err
		}
		s.cfg.Log.Warn("JetStream isn't ready yet", "error", err)
		if s.cfg.NotReady != nil {
			s.cfg.NotReady(err)
		}
	}
}

func (s *Setup) setupOnce(ctx context.Context, recreated []string) error {
	for _, cfg := range s.cfg.Assets.Fixed() {
		if _, err := s.ensure(ctx, cfg); err != nil {
			return err
		}
		if cfg.Name != s.names.BelfryStream() {
			continue
		}
		// The first one holds what everything else depends on.
		if err := s.fixPartitions(ctx); err != nil {
			return err
		}
		err := s.book.Change(ctx, func(m *manifest.Manifest) bool {
			m.Prefix = string(s.names)
			m.Forget(recreated)
			return m.Announce(s.cfg.Assets.StreamNames(s.partitions), s.partitions)
		})
		if err != nil {
			return fmt.Errorf("couldn't write down what is made: %w", err)
		}
		if err := s.fixDisk(ctx); err != nil {
			return err
		}
	}
	for p := range s.partitions {
		if _, err := s.ensure(ctx, s.cfg.Assets.Jobs(p)); err != nil {
			return err
		}
	}
	return nil
}

// ensure creates the stream, or mends it, and reports whether it changed an existing one.
// A stream that cannot be mended does not keep Belfry from starting; the audit reports
// it.
func (s *Setup) ensure(ctx context.Context, want jetstream.StreamConfig) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	stream, err := s.js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		err = s.create(func(replicas int) error {
			want.Replicas = replicas
			return s.makeStream(ctx, want)
		})
	case err == nil:
		is := stream.CachedInfo().Config
		s.replicas = max(s.replicas, is.Replicas)
		if want.MaxConsumers > 0 && is.MaxConsumers <= 0 {
			is = s.limitConsumers(ctx, is, want.MaxConsumers)
		}
		changed, err = s.mender.Mend(ctx, is, want, stream.CachedInfo().State.Bytes)
	}
	if err != nil {
		return changed, fmt.Errorf("couldn't set up stream %s%s: %w", want.Name, wire.BucketNote(want.Name), err)
	}
	return changed, nil
}

// makeStream creates a stream. An account that allows fewer consumers accepts no stream
// with more; then the account's limit counts.
func (s *Setup) makeStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	cfg = s.cfg.Assets.Bounded(cfg, s.partitions)
	_, err := s.js.CreateStream(ctx, cfg)
	if cfg.MaxConsumers > 0 && errors.Is(journal.Limited("", err), job.ErrLimit) {
		cfg.MaxConsumers = 0
		_, err = s.js.CreateStream(ctx, cfg)
	}
	return err
}

// limitConsumers sets the limit of a stream that an older version created, and returns
// the resulting configuration. An account that allows fewer refuses it; then the
// account's limit counts.
func (s *Setup) limitConsumers(ctx context.Context, now jetstream.StreamConfig, most int) jetstream.StreamConfig {
	want := now
	want.MaxConsumers = most
	if _, err := s.js.UpdateStream(ctx, want); err != nil {
		s.cfg.Log.Info("the limit of consumers stays as it was", "stream", now.Name, "error", err)
		return now
	}
	return want
}

// EnsureTokens creates the bucket of the tokens if it is missing, and reports whether it
// changed an existing one.
func (s *Setup) EnsureTokens(ctx context.Context) (changed bool, err error) {
	return s.ensure(ctx, s.cfg.Assets.Tokens())
}

// MaxPartitions is the most parts that jobs can be spread over.
const MaxPartitions = 50

// fixPartitions records the number of partitions, once: a job's partition follows from
// the number, so it can never change.
func (s *Setup) fixPartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	kv, err := s.js.KeyValue(ctx, s.names.BelfryBucket())
	if err != nil {
		return err
	}
	n, err := s.fixedPartitions(ctx)
	if err == nil && n == 0 { // only then, since a full server refuses any write
		_, err = kv.Create(ctx, wire.PartitionsKey, []byte(strconv.Itoa(s.cfg.Partitions)))
		if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return fmt.Errorf("couldn't write the number of partitions: %w", err)
		}
		n, err = s.fixedPartitions(ctx)
	}
	if err == nil && n == 0 {
		err = jetstream.ErrKeyNotFound // the replica has not seen it yet
	}
	if err != nil {
		return fmt.Errorf("couldn't read the number of partitions: %w", err)
	}
	if n != s.cfg.Partitions {
		s.cfg.Log.Info("the number of partitions was fixed at the first start", "partitions", n, "asked", s.cfg.Partitions)
	}
	s.partitions = n
	return nil
}

// ErrPartitions means that the recorded number of partitions is not valid. An operator
// has to correct it.
var ErrPartitions = errors.New("the number of partitions cannot be read")

// parsePartitions reads the number of partitions.
func parsePartitions(names wire.Names, value []byte) (int, error) {
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 1 || n > MaxPartitions {
		return 0, fmt.Errorf("%w: the key %s of bucket %s is %q; 1 to %d is accepted, and there must be as many buckets %s<n>",
			ErrPartitions, wire.PartitionsKey, names.BelfryBucket(), value, MaxPartitions, names.JobsBucketPrefix())
	}
	return n, nil
}
