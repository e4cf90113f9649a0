// Package wire names everything that Belfry stores in JetStream, and takes jobs, fires
// and dead letters to messages and back.
//
// It knows no server: the same names and the same bytes come out everywhere. A stored
// format changes here or nowhere.
package wire
