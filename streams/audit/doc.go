// Package audit compares what is in JetStream with what it should be, and mends it.
//
// Other hands work on the server, too. A stream that they deleted is never made anew by an
// audit, since what was in it is lost and a person has to know; settings, keys, records
// in memory and consumers are brought back, and what cannot be is told until it is.
package audit
