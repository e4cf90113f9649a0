// Package deadletter lists and redrives dead letters, and buries what subscribers leave.
//
// Letters are for requests. Advisories act on what JetStream says of fires that
// subscribers refused or let pass too often, and Unread looks for those that nobody
// comes for. What workers bury, the jobs package writes.
package deadletter
