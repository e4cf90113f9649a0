package job

// These are the headers that receivers get with a fire, over HTTP and over NATS
// alike. Ids in them are escaped, since header writers trim and rewrite values: each
// byte outside [A-Za-z0-9_-] becomes "=" and two hex digits.
const (
	// HeaderID is the fire id. It is the same on every try, so that receivers can
	// drop repeats. Standard Webhooks 1.0.0.
	HeaderID = "webhook-id"
	// HeaderTimestamp is when this try was made, in unix seconds. Standard
	// Webhooks 1.0.0.
	HeaderTimestamp = "webhook-timestamp"
	// HeaderSignature is the signature of a webhook; Standard Webhooks 1.0.0.
	HeaderSignature = "webhook-signature"
	// HeaderDB, HeaderCollection, HeaderJobID and HeaderRoute name the job.
	HeaderDB         = "Belfry-Db"
	HeaderCollection = "Belfry-Collection"
	HeaderJobID      = "Belfry-Job-Id"
	HeaderRoute      = "Belfry-Route"
	// HeaderTriggerTime is the job's trigger time, in unix milliseconds.
	HeaderTriggerTime = "Belfry-Trigger-Time"
	// HeaderAttempt counts the tries, including this one; the first is 1.
	HeaderAttempt = "Belfry-Attempt"
	// HeaderTrace ties what comes of a job to the request that asked for it,
	// if that had one; W3C Trace Context.
	HeaderTrace = "traceparent"
)
