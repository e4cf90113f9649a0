// Package journal writes to JetStream and resolves the outcome of each write. It reads
// from a replica or from the leader, as the caller needs.
//
// Each write is one compare-and-set. Its outcome is a new revision, a conflict, or
// unknown; an unknown outcome is resolved before anybody acts on it. Health tells for
// each stream whether writes work. Reads ask the leader where a stale answer would do
// harm.
package journal
