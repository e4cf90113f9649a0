package streams

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// errNoRecord: the message is a marker of a deleted key.
var errNoRecord = errors.New("no record")

// encodeRecord makes the message that stores r: the job as the user gave it is
// the value, so that any KV tool shows it; all else is in the headers, so that
// the timer can follow the bucket without the values. A final record lives for
// ttl.
func encodeRecord(subject string, r job.Record, ttl time.Duration) *nats.Msg {
	h := recordHeaders(r.Arming)
	h[hdrStatus] = []string{string(r.Status)}
	h[hdrOp] = []string{r.Op}
	if r.Status.Final() {
		h[hdrFinished] = []string{formatInt(r.Finished)}
		h[hdrTTL] = []string{ttl.String()}
	} else {
		h[hdrDue] = []string{formatInt(r.Due)}
	}
	if r.Replaces.Seq > 0 {
		h[hdrReplaces] = []string{formatInt(r.Replaces.Due) + ":" + formatUint(r.Replaces.Seq)}
	}
	if r.Status == job.Firing {
		h[hdrEpoch] = []string{formatUint(r.Epoch)}
		h[hdrFiresAfter] = []string{formatUint(r.FiresAfter)}
	}
	if r.Reason != "" {
		h[hdrReason] = []string{string(r.Reason)}
		h[hdrDetail] = []string{r.Detail}
	}
	const idsAndNames = 256 // more or less: so much room saves growing
	value := contract.AppendJob(make([]byte, 0, len(r.Meta)+idsAndNames), r.Job)
	return &nats.Msg{Subject: subject, Header: h, Data: value}
}

// decodeRecord reads a stored record. One without Belfry's headers, as a plain
// KV put leaves it, is a new scheduled job if its value is one. The error
// wraps [job.ErrNotAJob], or is errNoRecord for a marker.
func decodeRecord(k job.Key, seq uint64, h nats.Header, data []byte) (job.Record, error) {
	r, written, err := decodeHeaders(k, seq, h)
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

// decodeBare reads a record without its value, that is without its meta. whole says
// that nothing else is missing, as the trigger time is of one that an older Belfry
// has written, and everything of one that it did not write.
func decodeBare(k job.Key, seq uint64, h nats.Header) (r job.Record, whole bool, err error) {
	r, written, err := decodeHeaders(k, seq, h)
	if err != nil || !written || h.Get(hdrTrigger) == "" {
		return r, false, err
	}
	p := headerParser{h: h}
	r.Trigger = int64(p.uint(hdrTrigger))
	return r, p.bad == "", nil
}

// decode is [decodeRecord] with the limit for the meta of a job that was put there
// by hand.
func (s *Jobs) decode(k job.Key, seq uint64, h nats.Header, data []byte) (job.Record, error) {
	r, err := decodeRecord(k, seq, h, data)
	if err == nil && r.FireID == "" && len(r.Meta) > s.cfg.MaxMeta {
		err = fmt.Errorf("%w: its meta has %d bytes; up to %d are accepted", job.ErrNotAJob, len(r.Meta), s.cfg.MaxMeta)
	}
	return r, err
}

// decodeHeaders reads what the headers alone tell: everything but the trigger
// time and the meta. written is false for a record that Belfry did not write,
// of which they tell nothing.
func decodeHeaders(k job.Key, seq uint64, h nats.Header) (r job.Record, written bool, err error) {
	r = job.Record{Revision: seq, Status: job.Scheduled}
	r.Key = k
	if h.Get(hdrKVOperation) != "" {
		return r, false, errNoRecord
	}
	status := h.Get(hdrStatus)
	if status == "" {
		return r, false, nil
	}
	p := headerParser{h: h}
	r.Status = job.Status(status)
	if !r.Status.Known() {
		p.fail(hdrStatus)
	}
	r.Arming = p.arming(k)
	r.Op = h.Get(hdrOp)
	r.Due = int64(p.uint(hdrDue))
	r.Finished = int64(p.uint(hdrFinished))
	r.Epoch, r.FiresAfter = p.uint(hdrEpoch), p.uint(hdrFiresAfter)
	r.Reason, r.Detail = job.Reason(h.Get(hdrReason)), h.Get(hdrDetail)
	r.Replaces = p.position(hdrReplaces)
	if p.bad != "" {
		return r, true, fmt.Errorf("%w: its header %s is %q", job.ErrNotAJob, p.bad, h.Get(p.bad))
	}
	return r, true, nil
}
