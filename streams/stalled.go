package streams

// While the jobs stream of a partition is silent, each claim is refused before it is
// sent, at once. So the timer leaves its due jobs where they are: loading and claiming
// them all again and again would only cost time, and memory for each that was put off.

// stalled reports whether no claim of the partition can be written.
func (t *timer) stalled() bool {
	return t.health.refused(t.cfg.Names.jobsStream(t.partition)) != nil
}

// writesAnswered tells the timers that a stream was silent and is not any more.
func (s *Store) writesAnswered() {
	for _, t := range s.timers {
		t.poke()
	}
}
