// Package audit compares the state of JetStream with what it should be, and mends it.
//
// Others work on the server, too. An audit never recreates a stream that they deleted:
// its messages are lost, and an operator has to know. It restores settings, keys, records
// held in memory and consumers. It reports what it cannot restore until that is mended.
package audit
