package lease

// share is how many of the partitions a node may hold when that many nodes are alive.
// Together the shares cover all partitions.
func share(partitions, nodes int) int { return (partitions + nodes - 1) / max(nodes, 1) }

// balance decides what a node does about leases now: which of the free partitions it
// takes, and whether it hands one over to the others. start differs between nodes, so
// that they try different partitions first. It is pure.
func balance(held, free []int, partitions, nodes, start int) (take []int, handOver bool) {
	room := share(partitions, nodes) - len(held)
	for i := range free {
		if len(take) >= room {
			break
		}
		take = append(take, free[(start+i)%len(free)])
	}
	return take, room < 0
}
