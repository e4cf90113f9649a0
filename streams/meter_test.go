package streams_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
	"belfry/streams/wire"
)

// becomes waits until a series has a value.
func becomes(t *testing.T, m *metrics.Metrics, series string, want float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %v", series, want), func() bool { return metricstest.Value(t, m, series) == want })
}

func TestMetricsOfATimer(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams})
	f.run()
	f.route("nats", job.NATS)
	f.route("rest", job.REST)
	now := time.Now()
	for n := range 3 {
		f.create(newJob(fmt.Sprint("n", n), "nats", now))
	}
	f.create(newJob("r", "rest", now))
	f.create(newJob("later", "nats", now.Add(time.Hour)))
	f.create(newJob("never", "nats", now.Add(time.Hour)))
	if err := f.Jobs().Cancel(t.Context(), newJob("never", "", now).Key, 0); err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]float64{
		`belfry_timer_fires_total{type="NATS"}`:           3,
		`belfry_timer_fires_total{type="REST"}`:           1,
		`belfry_timer_lateness_seconds_count`:             4,
		`belfry_timer_publish_seconds_count`:              4,
		`belfry_jobs_finished_total{status="published"}`:  3,
		`belfry_jobs_finished_total{status="cancelled"}`:  1,
		`belfry_timer_partition_owned{partition="0"}`:     1,
		`belfry_jobs_waiting{partition="0"}`:              1,
		`belfry_jobs_firing{partition="0"}`:               1, // nobody delivers
		`belfry_jobs_overdue{partition="0"}`:              0,
		`belfry_timer_fences_total`:                       1,
		`belfry_commit_writes_in_flight`:                  0,
		`belfry_timer_doubts_total`:                       0,
		`belfry_commit_batch_size_count`:                  0,
		`belfry_commit_batches_refused_total`:             0,
		`belfry_jobs_finished_total{status="delivered"}`:  0,
		`belfry_attempts_dropped_total`:                   0,
		`belfry_timer_claims_lost_total`:                  0,
		`belfry_timer_lateness_seconds_bucket{le="+Inf"}`: 4,
	} {
		becomes(t, m, series, want)
	}
	eventually(t, "as many writes are through as went out by themselves", func() bool { // leases and probes go on
		single := metricstest.Value(t, m, `belfry_commit_single_writes_total`)
		return single > 0 && single == metricstest.Value(t, m, `belfry_commit_write_seconds_count`)
	})

	f.Doubt()
	becomes(t, m, `belfry_timer_doubts_total`, 1)
	becomes(t, m, `belfry_timer_fences_total`, 2)

	fire, err := wire.DecodeFire(f.messages(streams.FiresStream, "fires.db.rest")[0].Headers(), nil, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Jobs().Finish(t.Context(), fire, job.Result{Status: job.Dead, Reason: job.ReasonGone}); err != nil {
		t.Fatal(err)
	}
	becomes(t, m, `belfry_dead_letters_total{reason="receiver_gone"}`, 1)
	becomes(t, m, `belfry_jobs_finished_total{status="dead"}`, 1)
}

// Jobs that ended before a process started do not count in its metrics.
func TestMetricsAfterARestart(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	stop := f.run()
	f.route("nats", job.NATS)
	j := newJob("old", "nats", time.Now())
	f.create(j)
	f.reaches(j.Key, job.Published)
	stop()
	m := metricstest.New()
	f.reopen(streams.Config{Metrics: m.Streams})
	f.run()
	f.create(newJob("new", "nats", time.Now()))
	becomes(t, m, `belfry_jobs_finished_total{status="published"}`, 1)
}

// A job that is cancelled while it is claimed costs a claim.
func TestMetricsOfALostClaim(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams})
	claiming, cancelled := make(chan struct{}), make(chan struct{})
	f.Intercept(func(ctx context.Context, msg *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if isWrite(msg, jobWrites, job.Firing) {
			close(claiming)
			<-cancelled
		}
		return send(ctx, msg)
	})
	f.run()
	f.route("nats", job.NATS)
	j := newJob("j", "nats", time.Now())
	f.create(j)
	<-claiming
	if err := f.Jobs().Cancel(t.Context(), j.Key, 0); err != nil {
		t.Fatal(err)
	}
	close(cancelled)
	becomes(t, m, `belfry_timer_claims_lost_total`, 1)
	becomes(t, m, `belfry_timer_fires_total{type="NATS"}`, 0)
}

// Writes are counted by how they were sent, and refused batches are counted, too.
func TestMetricsOfBatches(t *testing.T) {
	t.Parallel()
	m := metricstest.New()
	f := open(t, streams.Config{Metrics: m.Streams, SyncAlways: true})
	f.route("nats", job.NATS)
	const jobs = 300
	later := time.Now().Add(time.Hour)
	f.create(newJob("j0", "nats", later))
	errs := make(chan error, jobs)
	for n := range jobs {
		go func() {
			j := newJob(fmt.Sprint("j", n), "nats", later)
			if n == 0 {
				j.Meta = []byte(`"other"`)
			}
			errs <- f.Jobs().Create(context.Background(), j)
		}()
	}
	for range jobs {
		if err := <-errs; err != nil && !errors.Is(err, job.ErrJobExists) {
			t.Errorf("Create: %v", err)
		}
	}
	batches := metricstest.Value(t, m, `belfry_commit_batch_size_count`)
	batched := metricstest.Value(t, m, `belfry_commit_batch_size_sum`)
	if batches == 0 || batched < 8*batches {
		t.Errorf("%v writes in %v batches, want some batches of 8 or more", batched, batches)
	}
	if got := metricstest.Value(t, m, `belfry_commit_writes_in_flight`); got != 0 {
		t.Errorf("%v writes are under way after all were answered, want 0", got)
	}
}
