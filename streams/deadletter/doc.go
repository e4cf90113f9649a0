// Package deadletter lists and redrives dead letters, and buries the fires that
// subscribers leave.
//
// Letters serve requests. Advisories act on what JetStream says about fires that
// subscribers refused or let pass too often. Unread looks for fires that nobody fetches.
// The jobs package writes the letters of workers.
package deadletter
