package backup

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// line is every line but the first as it is read. Which fields it has depends on
// its kind.
type line struct {
	Kind string `json:"kind"`

	DB         string `json:"db"`
	Collection string `json:"collection"`
	ID         string `json:"id"`

	// What the API stores, in the form of package contract.
	Token   jsontext.Value `json:"token"`
	Job     jsontext.Value `json:"job"`
	Route   jsontext.Value `json:"route"`
	Attempt jsontext.Value `json:"attempt"`

	// MetaText is the meta of a job as text, if it has newlines or is deep.
	MetaText *string `json:"meta_text"`

	Status   job.Status `json:"status"`
	Due      int64      `json:"due"`
	Finished int64      `json:"finished_time"`
	Revision uint64     `json:"revision"`

	FireID   string     `json:"fire_id"`
	Attempts int        `json:"attempts"`
	Redriven int64      `json:"redriven_at"`
	Reason   job.Reason `json:"reason"`
	Detail   string     `json:"detail"`
	Trace    string     `json:"traceparent"`
	Claim    uint64     `json:"claim"`
	Died     int64      `json:"died_at"`

	Counts job.EntryCounts `json:"counts"`
	SHA256 string          `json:"sha256"`
}

// appendEntry leaves the object of the line open.
func appendEntry(dst []byte, e job.Entry) []byte {
	dst = contract.AppendString(append(dst, `{"kind":`...), string(e.Kind()))
	switch {
	case e.Token != nil:
		dst = contract.AppendWord(dst, "id", e.Token.ID)
		dst = contract.AppendToken(append(dst, `,"token":`...), *e.Token)
	case e.Revoked != "":
		dst = contract.AppendWord(dst, "id", e.Revoked)
	case e.Job != nil:
		r := e.Job
		dst = appendJob(dst, r.Job)
		dst = contract.AppendWord(dst, "status", string(r.Status))
		dst = contract.AppendInt(dst, "due", r.Due)
		dst = contract.AppendInt(dst, "finished_time", r.Finished)
		dst = appendTry(dst, r.FireID, r.Attempt, r.Reason, r.Detail, r.Trace)
		dst = contract.AppendInt(dst, "redriven_at", r.Redriven)
		dst = contract.AppendInt(dst, "revision", int64(r.Revision))
	case e.Route != nil:
		dst = contract.AppendWord(contract.AppendWord(dst, "db", e.Route.DB), "id", e.Route.ID)
		dst = contract.AppendRoute(append(dst, `,"route":`...), *e.Route)
	case e.Letter != nil:
		dst = appendFire(dst, e.Letter.Fire, e.Letter.Reason, e.Letter.Detail)
		dst = contract.AppendInt(dst, "died_at", e.Letter.Died.UnixMilli())
	case e.Fire != nil:
		dst = appendFire(dst, *e.Fire, "", "")
	case e.Attempt != nil:
		dst = contract.AppendWord(contract.AppendWord(dst, "db", e.Attempt.DB), "collection", e.Attempt.Collection)
		dst = contract.AppendWord(dst, "id", e.Attempt.ID)
		dst = contract.AppendAttempt(append(dst, `,"attempt":`...), e.Attempt.Attempt)
	}
	return dst
}

// appendJob appends a job with its meta byte for byte. The meta is written as text
// if it has a newline, which would end the line, or is nested so deep that readers
// of JSON may give up on the line.
func appendJob(dst []byte, j job.Job) []byte {
	dst = contract.AppendWord(contract.AppendWord(dst, "db", j.DB), "collection", j.Collection)
	text := bytes.IndexByte(j.Meta, '\n') >= 0 || contract.Depth(j.Meta) > job.MaxMetaDepth
	meta := string(j.Meta)
	if text {
		j.Meta = []byte("null")
	}
	dst = contract.AppendJob(append(dst, `,"job":`...), j)
	if text {
		dst = contract.AppendWord(dst, "meta_text", meta)
	}
	return dst
}

func appendFire(dst []byte, f job.Fire, reason job.Reason, detail string) []byte {
	dst = appendJob(dst, job.Job{Key: f.Key, Trigger: f.Trigger, Meta: f.Meta, Route: f.Route})
	dst = appendTry(dst, f.FireID, f.Attempt, reason, detail, f.Trace)
	return contract.AppendInt(dst, "claim", int64(f.Claim))
}

func appendTry(dst []byte, fireID string, attempts int, reason job.Reason, detail, trace string) []byte {
	dst = contract.AppendWord(dst, "fire_id", fireID)
	dst = contract.AppendInt(dst, "attempts", int64(attempts))
	dst = contract.AppendWord(dst, "reason", string(reason))
	dst = contract.AppendWord(dst, "detail", detail)
	return contract.AppendWord(dst, "traceparent", trace)
}

// parseLine reads a line; what is in meta is the client's business. Earlier
// versions accepted a meta of nearly the depth at which the decoder stops, and wrote
// it inside two more objects; such a line is read in two pieces.
func parseLine(data []byte) (line, error) {
	l, err := decodeLine(data)
	if err == nil {
		return l, nil
	}
	rest, value, ok := contract.CutMember(data, "job")
	if !ok || contract.Depth(value) <= job.MaxMetaDepth {
		return line{}, err
	}
	if l, err = decodeLine(rest); err != nil {
		return line{}, err
	}
	l.Job = bytes.Clone(value)
	return l, nil
}

func decodeLine(data []byte) (l line, err error) {
	err = json.Unmarshal(data, &l, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(true))
	return l, err
}
