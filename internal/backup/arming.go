package backup

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// This file is the codec of [job.Arming] in the lines of jobs, fires and dead letters.

// armingFields are the fields of an arming, beside the parts of its key.
type armingFields struct {
	Job jsontext.Value `json:"job"` // in the form of package contract

	// MetaText is the meta of a job as text, if it has newlines or is nested deep.
	MetaText *string `json:"meta_text"`

	FireID   string `json:"fire_id"`
	Attempts int    `json:"attempts"`
	Redriven int64  `json:"redriven_at"`
	Trace    string `json:"traceparent"`
}

// arming reads the fields.
func (l armingFields) arming(key job.Key) (job.Arming, error) {
	j, err := l.job(key)
	if err != nil {
		return job.Arming{}, err
	}
	j.Trace = job.ParseTrace(l.Trace)
	if l.Attempts < 0 || l.Redriven < 0 {
		return job.Arming{}, errors.New("its attempts or redriven_at is none")
	}
	return job.Arming{Job: j, FireID: l.FireID, Attempt: l.Attempts, Redriven: l.Redriven}, nil
}

// job reads a job, with its meta byte for byte.
func (l armingFields) job(key job.Key) (job.Job, error) {
	j, err := contract.ParseStoredJob(l.Job, key, maxLine)
	if err != nil || l.MetaText == nil {
		return j, err
	}
	// The text is read as the meta of a job, so that it is JSON.
	j.Meta = []byte(*l.MetaText)
	return contract.ParseStoredJob(contract.AppendJob(nil, j), key, maxLine)
}

// appendJob appends a job with its meta byte for byte. It writes the meta as text if
// the meta has a newline, which would end the line, or is nested so deep that readers
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

// appendTries appends the rest of an arming, with the reason and the detail in their
// places in it.
func appendTries(dst []byte, a job.Arming, reason job.Reason, detail string) []byte {
	dst = contract.AppendWord(dst, "fire_id", a.FireID)
	dst = contract.AppendInt(dst, "attempts", int64(a.Attempt))
	dst = contract.AppendWord(dst, "reason", string(reason))
	dst = contract.AppendWord(dst, "detail", detail)
	dst = contract.AppendWord(dst, "traceparent", a.Trace)
	return contract.AppendInt(dst, "redriven_at", a.Redriven)
}

// armingOfFire returns the parts of an arming that the line of a fire or a dead
// letter has: all but the redrive. The next redrive of a letter sets another time,
// and the fires in a backup are of NATS routes, which have no retries.
func armingOfFire(a job.Arming) job.Arming {
	a.Redriven = 0
	return a
}
