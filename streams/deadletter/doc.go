// Package deadletter lists and redrives dead letters, and buries what subscribers leave.
//
// Letters are for requests. Advisories act on what JetStream says of fires that
// subscribers refused or let pass too often, and Unread looks for those that nobody
// comes for. The jobs package writes the letters of workers.
package deadletter
