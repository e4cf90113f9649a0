package streams

import (
	"context"
	"slices"

	"belfry/streams/setup"
)

// setupConfig returns the configuration of the setup.
func (s *Store) setupConfig() setup.Config {
	return setup.Config{
		Assets: s.assets, Partitions: s.cfg.Partitions, Replicas: s.cfg.Replicas,
		Ledger: s.cfg.Ledger, Disk: s.cfg.Disk, OnlyNode: s.cfg.OnlyNode, DiskIgnoresCase: s.cfg.DiskIgnoresCase,
		Place: s.cfg.Place, ExistingData: s.cfg.ExistingData, RecreateMissing: s.cfg.RecreateMissing, AcceptDamage: s.cfg.AcceptDamage,
		NotReady: s.cfg.NotReady, KeepEvery: s.cfg.KeepEvery, GrowEvery: s.cfg.GrowEvery,
		Metrics: s.cfg.Metrics, Log: s.cfg.Log, Now: s.cfg.Now,
	}
}

// ensureTokens creates the bucket of the tokens if it is missing.
func (s *Store) ensureTokens(ctx context.Context) error {
	changed, err := s.setup.EnsureTokens(ctx)
	if changed {
		s.health.Changed(s.cfg.Names.TokensStream())
	}
	return err
}

// Keep records every few seconds how far the streams are, and what damage the server
// reports, until ctx ends, and once more after that. It must end after everything that
// writes. The error is always nil.
func (s *Store) Keep(ctx context.Context) error { return s.setup.Keep(ctx, s.prober.Wrote.All) }

// Warnings lists what is wrong though requests can be served. /readyz repeats it.
func (s *Store) Warnings() []string {
	return slices.Concat(s.setup.DamageWarnings(), s.leases.ClockWarnings(), s.setup.CopiesWarnings())
}

// CountJobs returns how many jobs are stored, in every state.
func (s *Store) CountJobs(ctx context.Context) (uint64, error) { return s.setup.CountJobs(ctx) }
