package streams

// The names without a prefix, as most tests use them.
const (
	FiresStream = "FIRES"
	DeadStream  = "DEAD"
)

var (
	jobSubject   = Names("").jobSubject
	jobsPrefix   = Names("").jobsPrefix
	fenceSubject = Names("").fenceSubject
	probeSubject = Names("").probeSubject
	encodeFire   = Names("").encodeFire
)
