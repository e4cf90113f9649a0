// Package asset defines every stream that Belfry keeps its state in, and the settings
// that it insists on.
//
// It is pure: it asks no server. The setup makes what is defined here, and the audit
// compares what is there with it.
package asset
