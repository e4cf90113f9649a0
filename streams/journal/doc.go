// Package journal writes to JetStream and finds out what became of each write, and
// reads from a replica or from the leader, as the caller needs.
//
// Each write is one compare-and-set. Its outcome is a new revision, a conflict, or not
// known, and what is not known is found out before somebody acts on it. Health tells
// for each stream whether writes work. Reads ask the leader where a stale answer would
// do harm.
package journal
