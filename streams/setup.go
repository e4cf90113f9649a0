package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A start waits so long for JetStream to make what is missing, and for each
// answer of it.
const (
	setupPatience = time.Minute
	setupTry      = 3 * time.Second
)

// JetStream errors that pass by themselves have codeUnavailable, or are that one: a
// server that has just joined may not count as a peer yet.
const (
	codeUnavailable = 503
	errCodeNoPeers  = 10005
)

// setup makes the streams and buckets that are missing and mends the others,
// unless streams of others are in the way. It goes on while JetStream does not answer: a cluster
// may be without a leader for a while, and of two nodes that make a stream at
// the same moment one may get no answer. All of it is safe to repeat.
func (s *Store) setup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	pause := newBackOff(100*time.Millisecond, 2*time.Second)
	for {
		err := s.setupOnce(ctx)
		if err == nil || !waiting(err) || !sleep(ctx, pause.NextBackOff()) {
			return err
		}
		s.cfg.Log.Warn("JetStream isn't ready yet", "error", err)
	}
}

// waiting reports whether an error of JetStream's API may pass by itself.
func waiting(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrKeyNotFound) || // of a replica that has not seen it yet
		errors.As(err, &api) && (api.Code == codeUnavailable || api.ErrorCode == errCodeNoPeers)
}

func (s *Store) setupOnce(ctx context.Context) error {
	if err := s.refuseForeign(ctx); err != nil {
		return err
	}
	for _, cfg := range s.assets() {
		if err := s.ensureAsset(ctx, cfg); err != nil {
			return fmt.Errorf("couldn't set up stream %s: %w", cfg.Name, err)
		}
		if cfg.Name == belfryStream { // it says how many jobs buckets there are
			if err := s.fixPartitions(ctx); err != nil {
				return err
			}
		}
	}
	for p := range s.partitions {
		cfg := s.own(jobsConfig(p))
		if err := s.ensureAsset(ctx, cfg); err != nil {
			return fmt.Errorf("couldn't set up stream %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// ensureAsset makes the stream, or mends it. What cannot be mended does not keep
// Belfry from starting; the audit says it.
func (s *Store) ensureAsset(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, setupTry)
	defer cancel()
	stream, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.replicas = max(s.replicas, want.Replicas)
		_, err = s.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	is := stream.CachedInfo().Config
	s.replicas = max(s.replicas, is.Replicas)
	return s.mendAsset(ctx, is, want)
}

// MaxPartitions is the most parts that jobs can be spread over.
const MaxPartitions = 50

// fixPartitions writes down how many partitions there are, once: a job's
// partition follows from the number, so it can never change.
func (s *Store) fixPartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTry)
	defer cancel()
	kv, err := s.js.KeyValue(ctx, belfryBucket)
	if err != nil {
		return err
	}
	e, err := kv.Get(ctx, partitionsKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if err := s.checkJobsBuckets(ctx); err != nil {
			return err
		}
		// One that another node has written since is found then.
		_, err = kv.Create(ctx, partitionsKey, []byte(strconv.Itoa(s.cfg.Partitions)))
		if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return fmt.Errorf("couldn't write the number of partitions: %w", err)
		}
		e, err = kv.Get(ctx, partitionsKey)
	}
	if err != nil {
		return fmt.Errorf("couldn't read the number of partitions: %w", err)
	}
	n, err := parsePartitions(e.Value())
	if err != nil {
		return err
	}
	if n != s.cfg.Partitions {
		s.cfg.Log.Info("the number of partitions was fixed at the first start", "partitions", n, "asked", s.cfg.Partitions)
	}
	s.partitions = n
	return nil
}

// parsePartitions reads the number of partitions.
func parsePartitions(value []byte) (int, error) {
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 1 || n > MaxPartitions {
		return 0, fmt.Errorf("the key %s of bucket %s is %q; 1 to %d is accepted, and there must be as many buckets %s<n>",
			partitionsKey, belfryBucket, value, MaxPartitions, jobsBucketPrefix)
	}
	return n, nil
}

// peekPartitions returns how many partitions there are, or are to be.
func (s *Store) peekPartitions(ctx context.Context) int {
	kv, err := s.js.KeyValue(ctx, belfryBucket)
	if err != nil {
		return s.cfg.Partitions
	}
	e, err := kv.Get(ctx, partitionsKey)
	if err != nil {
		return s.cfg.Partitions
	}
	n, err := parsePartitions(e.Value())
	if err != nil {
		return s.cfg.Partitions
	}
	return n
}

// checkJobsBuckets makes sure, where the number of partitions is not written down,
// that the number which is to be is that of the jobs buckets there are. By another
// one jobs would be looked for in the wrong bucket.
func (s *Store) checkJobsBuckets(ctx context.Context) error {
	buckets := 0
	for p := range MaxPartitions {
		_, err := s.js.Stream(ctx, jobsStream(p))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return fmt.Errorf("couldn't count the jobs buckets: %w", err)
		}
		buckets++
	}
	if buckets == 0 || buckets == s.cfg.Partitions {
		return nil
	}
	if there, err := s.partitionsOnLeader(ctx); err != nil || there {
		return errors.Join(err, jetstream.ErrKeyNotFound) // a replica is behind: look again
	}
	return fmt.Errorf("the key %s of bucket %s is gone, and there are %d jobs buckets, not %d; if that is all of them, write it back: nats kv put %s %s %d",
		partitionsKey, belfryBucket, buckets, s.cfg.Partitions, belfryBucket, partitionsKey, buckets)
}

// partitionsOnLeader reports whether the leader has the number of partitions, which
// a replica may not have seen yet.
func (s *Store) partitionsOnLeader(ctx context.Context) (bool, error) {
	if err := quorate(ctx, s.js, belfryStream); err != nil {
		return false, err
	}
	m, err := s.nc.RequestWithContext(ctx, leaderGet(belfryStream), []byte(`{"last_by_subj":"`+belfrySubject(partitionsKey)+`"}`))
	if err != nil {
		return false, err
	}
	var answer struct {
		Message *struct {
			Header []byte `json:"hdrs"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return false, err
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return false, nil
	case answer.Error != nil:
		return false, answer.Error
	case answer.Message == nil || len(answer.Message.Header) == 0:
		return answer.Message != nil, nil
	}
	h, err := nats.DecodeHeadersMsg(answer.Message.Header)
	return err == nil && !isMarker(h), err
}
