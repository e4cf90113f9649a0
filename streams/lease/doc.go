// Package lease decides which node tries to own which partition.
//
// Leases are for liveness only: the fence keeps two owners apart, and a partition itself
// finds out when it was replaced. The nodes also measure how far their clocks are apart.
package lease
