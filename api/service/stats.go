package service

import (
	"sync"
	"time"
)

// stats counts the answers of one endpoint. For a handler that does not wait, micro
// counts only how many requests came.
type stats struct {
	mu   sync.Mutex // guards sums
	sums Stats
}

// Stats is the data of each endpoint in $SRV.STATS, in micro's names.
type Stats struct {
	// NumRequests is how many requests were answered.
	NumRequests int `json:"num_requests"`
	// NumErrors is how many of them were refused.
	NumErrors int `json:"num_errors"`
	// LastError is the code of the last refusal.
	LastError string `json:"last_error"`
	// ProcessingTime is how long the answers took, together and on average.
	ProcessingTime        time.Duration `json:"processing_time"`
	AverageProcessingTime time.Duration `json:"average_processing_time"`
}

// add counts an answer; code is the refusal's code, or empty.
func (s *stats) add(code string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums.NumRequests++
	s.sums.ProcessingTime += took
	if code != "" {
		s.sums.NumErrors++
		s.sums.LastError = code
	}
}

func (s *stats) report() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := s.sums
	if sums.NumRequests > 0 {
		sums.AverageProcessingTime = sums.ProcessingTime / time.Duration(sums.NumRequests)
	}
	return sums
}
