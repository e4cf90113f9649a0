// Package lease decides which node tries to own which partition.
//
// Leases are for liveness only: the fence keeps two owners apart, and a partition finds
// out itself when it was replaced. On the way the nodes measure how far their clocks
// are apart.
package lease
