package routes

// PermitsFrom is permitsFrom.
var PermitsFrom = permitsFrom
