package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// ErrNoRecord: the message is a marker of a deleted key.
var ErrNoRecord = errors.New("no record")

// EncodeRecord makes the message that stores r: the job as the user gave it is
// the value, so that any KV tool shows it; all else is in the headers, so that
// the timer can follow the bucket without the values. A final record lives for
// ttl.
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
	const idsAndNames = 256 // more or less: so much room saves growing
	value := contract.AppendJob(make([]byte, 0, len(r.Meta)+idsAndNames), r.Job)
	return &nats.Msg{Subject: subject, Header: h, Data: value}
}

// DecodeRecord reads a stored record. One without Belfry's headers, as a plain
// KV put leaves it, is a new scheduled job if its value is one. The error
// wraps [job.ErrNotAJob], or is ErrNoRecord for a marker.
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

// DecodeBare reads a record without its value, that is without its meta. whole says
// that nothing else is missing, as the trigger time is of one that an older Belfry
// has written, and everything of one that it did not write.
func DecodeBare(k job.Key, seq uint64, h nats.Header) (r job.Record, whole bool, err error) {
	r, written, err := DecodeHeaders(k, seq, h)
	if err != nil || !written || h.Get(hdrTrigger) == "" {
		return r, false, err
	}
	p := HeaderParser{H: h}
	r.Trigger = int64(p.Uint(hdrTrigger))
	return r, p.bad == "", nil
}

// DecodeHeaders reads what the headers alone tell: everything but the trigger
// time and the meta. written is false for a record that Belfry did not write,
// of which they tell nothing.
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
