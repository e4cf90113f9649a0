// Package manifest is what Belfry has made, written down: its streams, how far each of
// them was, and damage that nobody has accepted.
//
// Two processes that write it lose nothing of each other, and what was changed by other
// hands is recognised by its checksum.
package manifest
