package streams

// PermitsFrom is permitsFrom.
var PermitsFrom = permitsFrom
