// Package backup reads all that Belfry knows, while it works, and writes it back into
// an empty store.
//
// A restore can be repeated: what is there of it stays, and each job and message is
// there once. A mark tells that it is under way, and nothing fires until the mark says
// that all of it is there.
package backup
