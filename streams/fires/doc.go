// Package fires looks after the stream FIRES: it has the timers look for fires that were
// removed before their time, and makes room before the stream is full.
package fires
