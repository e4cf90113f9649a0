package streams

import "context"

// WhyIdle says why the timers do not fire what this node is to fire, "" if they do.
func (s *Store) WhyIdle() string {
	if err := s.leases.Ready(); err != nil {
		return err.Error()
	}
	return ""
}

// HandOver makes a timer release its partition, as when another node has joined.
func (s *Store) HandOver(partition int) { s.timers[partition].Release(context.Background()) }
