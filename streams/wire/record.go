package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// ErrNoRecord means that the message is the marker of a deleted key.
var ErrNoRecord = errors.New("no record")

// EncodeRecord returns the message that stores r. The value is the job as the user gave
// it, so that any KV tool shows it. Everything else is in the headers, so that the timer
// can follow the bucket without the values. A final record lives for ttl.
func EncodeRecord(subject string, r job.Record, ttl time.Duration) *nats.Msg {
	h := recordHeaders(r.Arming)
	h[hdrStatus] = []string{string(r.Status)}
	h[HeaderOp] = []string{r.Op}
	if r.Status.Final() {
		h[hdrFinished] = []string{FormatInt(r.Finished)}
		h[HeaderTTL] = []string{ttl.String()}
	} else {
		h[hdrDue] = []string{FormatInt(r.Due)}
	}
	if r.Replaces.Seq > 0 {
		h[hdrReplaces] = []string{FormatInt(r.Replaces.Due) + ":" + FormatUint(r.Replaces.Seq)}
	}
	if r.Status == job.Firing {
		h[HeaderEpoch] = []string{FormatUint(r.Epoch)}
		h[hdrFiresAfter] = []string{FormatUint(r.FiresAfter)}
	}
	if r.Reason != "" {
		h[hdrReason] = []string{string(r.Reason)}
		h[hdrDetail] = []string{r.Detail}
	}
	const idsAndNames = 256 // roughly; it saves growing
	value := contract.AppendJob(make([]byte, 0, len(r.Meta)+idsAndNames), r.Job)
	return &nats.Msg{Subject: subject, Header: h, Data: value}
}

// DecodeRecord reads a stored record. A record without Belfry's headers, as a plain KV
// put leaves it, is a new scheduled job if its value is a job. The error wraps
// [job.ErrNotAJob], or is ErrNoRecord for a marker.
func DecodeRecord(k job.Key, seq uint64, h nats.Header, data []byte) (job.Record, error) {
	r, written, err := DecodeHeaders(k, seq, h)
	if err != nil {
		return r, err
	}
	parse := contract.ParsePutJob
	if written {
		parse = contract.ParseStoredJob
	}
	j, err := parse(data, k, len(data))
	if err != nil {
		return r, fmt.Errorf("%w: %v", job.ErrNotAJob, err)
	}
	r.Arming = withValue(r.Arming, j)
	if !written {
		r.Due = j.Trigger
	}
	return r, nil
}

// DecodeBare reads a record without its value, and so without its meta. whole says that
// nothing else is missing. A record of an older Belfry lacks its trigger time, and a
// record that Belfry did not write lacks everything.
func DecodeBare(k job.Key, seq uint64, h nats.Header) (r job.Record, whole bool, err error) {
	r, written, err := DecodeHeaders(k, seq, h)
	if err != nil || !written || h.Get(hdrTrigger) == "" {
		return r, false, err
	}
	p := HeaderParser{H: h}
	r.Trigger = int64(p.Uint(hdrTrigger))
	return r, p.bad == "", nil
}

// DecodeHeaders reads everything that the headers tell: all but the trigger time and the
// meta. written is false for a record that Belfry did not write; its headers tell
// nothing.
func DecodeHeaders(k job.Key, seq uint64, h nats.Header) (r job.Record, written bool, err error) {
	r = job.Record{Revision: seq, Status: job.Scheduled}
	r.Key = k
	if h.Get(HeaderKVOperation) != "" {
		return r, false, ErrNoRecord
	}
	status := h.Get(hdrStatus)
	if status == "" {
		return r, false, nil
	}
	p := HeaderParser{H: h}
	r.Status = job.Status(status)
	if !r.Status.Known() {
		p.fail(hdrStatus)
	}
	r.Arming = p.arming(k)
	r.Op = h.Get(HeaderOp)
	r.Due = int64(p.Uint(hdrDue))
	r.Finished = int64(p.Uint(hdrFinished))
	r.Epoch, r.FiresAfter = p.Uint(HeaderEpoch), p.Uint(hdrFiresAfter)
	r.Reason, r.Detail = job.Reason(h.Get(hdrReason)), h.Get(hdrDetail)
	r.Replaces = p.position(hdrReplaces)
	if p.bad != "" {
		return r, true, fmt.Errorf("%w: its header %s is %q", job.ErrNotAJob, p.bad, h.Get(p.bad))
	}
	return r, true, nil
}
