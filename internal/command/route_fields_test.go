package command

import (
	"slices"
	"testing"

	"belfry/internal/job"
)

// Every field of a route has a flag, and every flag has a field.
func TestEveryRouteFieldHasAFlag(t *testing.T) {
	t.Parallel()
	fields := job.PolicyFields()
	for _, f := range fields {
		if !slices.ContainsFunc(fieldFlagTable, func(row fieldFlag) bool { return row.field == f.Name }) {
			t.Errorf("the field %s has no flag", f.Name)
		}
	}
	for _, row := range fieldFlagTable {
		if !slices.ContainsFunc(fields, func(f job.PolicyField) bool { return f.Name == row.field }) {
			t.Errorf("the flag --%s is of %s, which is no field", row.name, row.field)
		}
	}
}
