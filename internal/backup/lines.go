package backup

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// line is any line but the first, as it is read. Its fields depend on its kind.
type line struct {
	Kind string `json:"kind"`

	DB         string `json:"db"`
	Collection string `json:"collection"`
	ID         string `json:"id"`

	// These are the resources that the API stores, in the form of package contract.
	Token   jsontext.Value `json:"token"`
	Route   jsontext.Value `json:"route"`
	Attempt jsontext.Value `json:"attempt"`

	armingFields

	Status   job.Status `json:"status"`
	Due      int64      `json:"due"`
	Finished int64      `json:"finished_time"`
	Revision uint64     `json:"revision"`

	Reason job.Reason `json:"reason"`
	Detail string     `json:"detail"`
	Claim  uint64     `json:"claim"`
	Died   int64      `json:"died_at"`

	Counts job.EntryCounts `json:"counts"`
	SHA256 string          `json:"sha256"`
}

// appendEntry appends the line of an entry and leaves the object open.
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
		dst = appendTries(dst, r.Arming, r.Reason, r.Detail)
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

func appendFire(dst []byte, f job.Fire, reason job.Reason, detail string) []byte {
	a := armingOfFire(f.Arming)
	dst = appendTries(appendJob(dst, a.Job), a, reason, detail)
	return contract.AppendInt(dst, "claim", int64(f.Claim))
}

// parseLine reads a line; the content of meta is the client's business. Earlier
// versions accepted a meta almost as deep as the decoder reads, and wrote it inside
// two more objects. Such a line is read in two pieces.
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
