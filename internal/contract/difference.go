package contract

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"belfry/internal/job"
)

// RouteDifference names the fields in which two routes with the same key differ as
// they are stored. It tells no values, which may be secrets.
func RouteDifference(a, b job.Route) string {
	is, other := routeMembers(a), routeMembers(b)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if string(is[name]) != string(other[name]) {
			all = append(all, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(other)) {
		if _, both := is[name]; !both {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}

func routeMembers(r job.Route) map[string]json.RawMessage {
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(AppendRoute(nil, r), &members) // it is an object
	return members
}
