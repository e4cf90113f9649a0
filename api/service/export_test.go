package service

// Semantic exports semantic for its test.
func Semantic(version string) string { return semantic(version) }

// Closed reports whether the service has stopped working on requests.
func (s *Service) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

const MaxUnderWay = maxUnderWay
