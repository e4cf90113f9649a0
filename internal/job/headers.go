package job

// Headers that receivers get with a fire, over HTTP and over NATS alike. Ids
// in them are escaped, since header writers trim and rewrite values: each byte
// outside [A-Za-z0-9_-] is "=" and two hex digits.
const (
	// HeaderID is the fire id; the same on every try, for receivers to drop
	// repeats by. Standard Webhooks 1.0.0.
	HeaderID = "webhook-id"
	// HeaderTimestamp is when this try was made, in unix seconds. Standard
	// Webhooks 1.0.0.
	HeaderTimestamp = "webhook-timestamp"
	// HeaderSignature signs what a webhook sends; Standard Webhooks 1.0.0.
	HeaderSignature = "webhook-signature"
	// HeaderDB, HeaderCollection, HeaderJobID and HeaderRoute name the job.
	HeaderDB         = "Belfry-Db"
	HeaderCollection = "Belfry-Collection"
	HeaderJobID      = "Belfry-Job-Id"
	HeaderRoute      = "Belfry-Route"
	// HeaderTriggerTime is the job's trigger time, in unix milliseconds.
	HeaderTriggerTime = "Belfry-Trigger-Time"
	// HeaderAttempt counts the tries, this one included; 1 is the first.
	HeaderAttempt = "Belfry-Attempt"
	// HeaderTrace ties what comes of a job to the request that asked for it,
	// if that had one; W3C Trace Context.
	HeaderTrace = "traceparent"
)
