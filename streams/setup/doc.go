// Package setup opens a store. It refuses a store that is not Belfry's or is not as
// Belfry left it, creates what is missing, and records how far the streams are.
//
// Nothing is created or changed before everything that exists was compared with the
// record. A stream that Belfry created and that is gone is a [Refusal]; it is never
// recreated unasked.
package setup
