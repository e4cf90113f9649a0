// Package wire names everything that Belfry stores in JetStream, and encodes and decodes
// jobs, fires and dead letters.
//
// It knows no server: the same names and the same bytes come out everywhere. No other
// package defines a stored format.
package wire
