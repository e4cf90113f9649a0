// Package manifest records what Belfry has created: its streams, how far each of them
// was, and damage that nobody has accepted.
//
// Two processes that write the manifest do not lose each other's changes. A checksum
// detects changes by anybody else.
package manifest
