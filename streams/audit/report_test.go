package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"belfry/internal/logtest"
	"belfry/streams/audit"
)

// Trouble is logged once, and its end once.
func TestReport(t *testing.T) {
	t.Parallel()
	log := &logtest.Log{}
	r := audit.NewReport(log.Logger())
	for range 3 {
		r.Note("FIRES", "")
		r.Note("DEAD", "it is sealed")
	}
	if got := r.Amiss(); !slices.Equal(got, []string{"it is sealed"}) || !slices.Equal(r.Harmed(), []string{"DEAD"}) {
		t.Errorf("amiss is %q, of %q", got, r.Harmed())
	}
	for range 3 {
		r.Note("DEAD", "")
	}
	if got := r.Amiss(); len(got) > 0 {
		t.Errorf("then amiss is %q", got)
	}
	if n := strings.Count(log.String(), "asset=DEAD"); n != 2 {
		t.Errorf("told %d times, want that it is harmed and that it is not:\n%s", n, log)
	}
	for i := range 5 {
		r.Note(fmt.Sprint("KV_jobs_", i), fmt.Sprint("no. ", i))
	}
	if got := r.Amiss(); !slices.Equal(got, []string{"no. 0", "no. 1", "no. 2", "and 2 more"}) {
		t.Errorf("of five amiss are %q", got)
	}
}
