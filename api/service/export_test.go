package service

// Semantic is for its test.
func Semantic(version string) string { return semantic(version) }

// Closed reports whether nothing more is worked on.
func (s *Service) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

const MaxUnderWay = maxUnderWay
