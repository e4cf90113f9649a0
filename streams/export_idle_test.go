package streams

import "context"

// WhyIdle is why the timers do not fire what this node is to fire, "" if they do.
func (s *Store) WhyIdle() string {
	if err := s.leases.ready(); err != nil {
		return err.Error()
	}
	return ""
}

// Say are the words of an idle with its facts, and what to do.
func (i Idle) Say(facts string) string { return i.say(facts) }

// HandOver releases a partition, as for a node that has come.
func (s *Store) HandOver(partition int) { s.leases.release(context.Background(), partition) }
