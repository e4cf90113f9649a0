// Package asset defines every stream that Belfry keeps its state in, and the settings
// that it insists on.
//
// It is pure: it asks no server. The setup creates the streams defined here, and the
// audit compares the existing ones with them.
package asset
