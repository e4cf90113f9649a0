// Package setup opens a store: it refuses what is not Belfry's or not as it was left,
// makes what is missing, and keeps note of how far the streams are.
//
// Nothing is made or changed before all that is there was compared with what was written
// down. A stream that Belfry has made and that is gone is a [Refusal], never made anew unasked.
package setup
