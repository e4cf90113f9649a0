package lease_test

import (
	"slices"
	"testing"

	"belfry/streams/lease"
)

func TestBalance(t *testing.T) {
	for _, tt := range []struct {
		name             string
		held, free       []int
		partitions, live int
		take             []int
		handOver         bool
	}{
		{"alone takes all", nil, []int{0, 1, 2, 3}, 4, 1, []int{0, 1, 2, 3}, false},
		{"two share", nil, []int{0, 1, 2, 3}, 4, 2, []int{0, 1}, false},
		{"an odd one out is taken", nil, []int{0, 1, 2, 3, 4}, 5, 2, []int{0, 1, 2}, false},
		{"a full node takes nothing", []int{0, 1}, []int{2, 3}, 4, 2, nil, false},
		{"too much is handed over", []int{0, 1, 2, 3}, nil, 4, 2, nil, true},
		{"what a dead node leaves is taken", []int{0, 1}, []int{2, 3}, 4, 1, []int{2, 3}, false},
		{"more nodes than partitions", nil, []int{0}, 1, 3, []int{0}, false},
		{"nothing to do", []int{0}, nil, 1, 1, nil, false},
	} {
		take, handOver := lease.Balance(tt.held, tt.free, tt.partitions, tt.live, 0)
		if !slices.Equal(take, tt.take) || handOver != tt.handOver {
			t.Errorf("%s: takes %v, hands over %v; want %v, %v", tt.name, take, handOver, tt.take, tt.handOver)
		}
	}
}

// Whatever the numbers, the shares of all nodes cover all partitions, and once all hold
// their share nobody hands one over.
func TestSharesCoverAll(t *testing.T) {
	for partitions := 1; partitions <= 50; partitions++ {
		for nodes := 1; nodes <= 12; nodes++ {
			free := make([]int, partitions)
			for i := range free {
				free[i] = i
			}
			for n := range nodes {
				take, _ := lease.Balance(nil, free, partitions, nodes, n*7)
				if _, handOver := lease.Balance(take, nil, partitions, nodes, 0); handOver {
					t.Fatalf("%d partitions, %d nodes: hands over what it has just taken", partitions, nodes)
				}
				free = slices.DeleteFunc(free, func(p int) bool { return slices.Contains(take, p) })
			}
			if len(free) > 0 {
				t.Fatalf("%d partitions, %d nodes: nobody takes %v", partitions, nodes, free)
			}
		}
	}
}
