package streams

import "context"

// WhyIdle is why the timers do not fire what this node is to fire, "" if they do.
func (s *Store) WhyIdle() string {
	if err := s.leases.Ready(); err != nil {
		return err.Error()
	}
	return ""
}

// HandOver has a timer release its partition, as for a node that has come.
func (s *Store) HandOver(partition int) { s.timers[partition].Release(context.Background()) }
