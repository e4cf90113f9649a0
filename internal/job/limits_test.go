package job_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/job"
)

func TestCheckTrigger(t *testing.T) {
	for _, tt := range []struct {
		ms   int64
		hint string // empty: accepted
	}{
		{job.MinTrigger, ""}, {job.MaxTrigger, ""}, {1667659342626, ""},
		{-1, "negative"}, {0, "seconds"}, {1667659342, "seconds"},
		{job.MaxTrigger + 1, "micro"}, {1667659342626000, "micro"},
	} {
		err := job.CheckTrigger(tt.ms)
		if tt.hint == "" && err != nil {
			t.Errorf("%d is refused: %v", tt.ms, err)
		}
		if tt.hint != "" && (!errors.Is(err, job.ErrTriggerTime) || !strings.Contains(err.Error(), tt.hint)) {
			t.Errorf("%d: %v, want ErrTriggerTime with the hint %q", tt.ms, err, tt.hint)
		}
	}
}
