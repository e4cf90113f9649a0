package streams

import (
	"belfry/streams/audit"
	"belfry/streams/journal"
)

// newAudit returns the audit, with the parts of it that other packages do.
func (s *Store) newAudit(own journal.Access) *audit.Audit {
	others := audit.Others{
		Owner:      s.timers[0].Owns,
		Advisories: s.advised.Consumer,
	}
	if s.cfg.Ledger == nil {
		others.Manifest = s.setup.Book()
	}
	return audit.New(own, s.inboxes, s.mender, s.health, others, audit.Config{
		Assets: s.assets, Partitions: s.partitions, Every: s.cfg.AuditEvery, IgnoresCase: s.setup.IgnoresCase(),
		Log: s.cfg.Log, Metrics: s.cfg.Metrics,
	})
}
