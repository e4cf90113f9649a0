// Package fires looks after the stream FIRES: it makes the timers look for fires that
// were removed too early, and makes room before the stream is full.
package fires
