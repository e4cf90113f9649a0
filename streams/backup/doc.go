// Package backup reads everything that Belfry knows, while it works, and writes it back
// into an empty store.
//
// A restore can be repeated: entries that are already there stay, and each job and
// message ends up there once. A mark says that a restore is under way. Nothing fires
// until the mark says that everything is there.
package backup
