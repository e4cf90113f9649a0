package contract

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// ParseJob reads the body of a request to create or change a job. If key has an id,
// the body's id must be absent or the same; otherwise the body must have an id. The
// fields that only [AppendRecord] writes are ignored, since db and collection come
// from key. The returned job has the whole key, checked. Its Meta has memory of its
// own, and is "null" if the body has none. A meta of more than maxMeta bytes is
// refused with [job.ErrTooLarge], and one nested deeper than [job.MaxMetaDepth] with
// [job.ErrSyntax].
func ParseJob(body []byte, key job.Key, maxMeta int) (job.Job, error) {
	j, err := parseJob(body, key, maxMeta, jobAnswerOnly...)
	if err == nil {
		err = j.Key.CheckNew()
	}
	if err == nil {
		err = job.CheckNewID("route", j.Route)
	}
	if err == nil {
		err = checkDepth(j.Meta)
	}
	if err != nil {
		return job.Job{}, err
	}
	return j, nil
}

// ParsePutJob reads the value that a person has put under a job's key. It has the
// limits of [ParseJob].
func ParsePutJob(value []byte, key job.Key, maxMeta int) (job.Job, error) {
	j, err := parseJob(value, key, maxMeta)
	if err == nil {
		err = checkDepth(j.Meta)
	}
	if err != nil {
		return job.Job{}, err
	}
	return j, nil
}

// ParseStoredJob reads the value stored under a job's key, as [AppendJob] makes
// it. Its meta may be nested deeper than [ParseJob] accepts: earlier versions
// accepted more.
func ParseStoredJob(value []byte, key job.Key, maxMeta int) (job.Job, error) {
	return parseJob(value, key, maxMeta)
}

// jobAnswerOnly are the fields that [appendState] appends.
var jobAnswerOnly = ignored(
	"db", "collection", "status", "attempt", "next_attempt_time", "reason", "detail", "finished_time",
)

func parseJob(body []byte, key job.Key, maxMeta int, more ...field) (job.Job, error) {
	j := job.Job{Key: key, Meta: []byte("null")}
	err := readObject(body, append([]field{
		idField(&j.ID),
		field{"trigger_time", true, func(value jsontext.Value) (err error) {
			j.Trigger, err = readTrigger(value)
			return err
		}},
		field{"meta", false, func(value jsontext.Value) error {
			if len(value) > maxMeta {
				return fmt.Errorf("%w: meta has %d bytes; up to %d are accepted", job.ErrTooLarge, len(value), maxMeta)
			}
			j.Meta = bytes.Clone(value)
			return nil
		}},
		stringField("route", true, &j.Route),
	}, more...)...)
	if err != nil {
		return job.Job{}, err
	}
	if err := j.Key.Check(); err != nil {
		return job.Job{}, err
	}
	if err := job.CheckID("route", j.Route); err != nil {
		return job.Job{}, err
	}
	return j, nil
}

// readTrigger accepts integer literals only. 1.7e12 is a whole number, too, but a
// program that writes it that way has used a float.
func readTrigger(value jsontext.Value) (int64, error) {
	const accepted = "unix milliseconds are accepted, as in 1667659342626"
	if value.Kind() != '0' {
		return 0, typeError("trigger_time", value, accepted)
	}
	if bytes.ContainsAny(value, ".eE") {
		return 0, fmt.Errorf("%w: %s is not an integer literal; %s", job.ErrTriggerTime, job.Quote(string(value)), accepted)
	}
	ms, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: a number of %d digits; %s",
			job.ErrTriggerTime, len(bytes.TrimPrefix(value, []byte("-"))), accepted)
	}
	return ms, job.CheckTrigger(ms)
}

// AppendJob appends the job as the client gave it, in the form that is stored under
// its key: id, trigger_time, meta and route. [ParseStoredJob] reads it back.
func AppendJob(dst []byte, j job.Job) []byte {
	return append(appendJobFields(dst, j), '}')
}

// AppendRecord appends the answer to a GET of a job: the fields of
// [AppendJob], then
//
//   - db, collection, and the job's [job.Status] as status;
//   - attempt, the number of tries begun;
//   - next_attempt_time, in unix milliseconds, while it is retrying;
//   - reason and detail, if the job died or its last try failed: a machine-readable
//     reason and a text for humans;
//   - finished_time, in unix milliseconds, once the status is final.
func AppendRecord(dst []byte, r job.Record) []byte {
	return append(appendState(appendJobFields(dst, r.Job), r), '}')
}

// appendState appends the fields of [AppendRecord] beyond those of [AppendJob].
func appendState(dst []byte, r job.Record) []byte {
	dst = AppendString(append(dst, `,"db":`...), r.DB)
	dst = AppendString(append(dst, `,"collection":`...), r.Collection)
	dst = AppendString(append(dst, `,"status":`...), string(r.Status))
	dst = strconv.AppendInt(append(dst, `,"attempt":`...), int64(r.Attempt), 10)
	if r.Status == job.Retrying {
		dst = strconv.AppendInt(append(dst, `,"next_attempt_time":`...), r.Due, 10)
	}
	dst = AppendWord(dst, "reason", string(r.Reason))
	dst = AppendWord(dst, "detail", r.Detail)
	if r.Status.Final() {
		dst = strconv.AppendInt(append(dst, `,"finished_time":`...), r.Finished, 10)
	}
	return dst
}

// appendJobFields leaves the object open.
func appendJobFields(dst []byte, j job.Job) []byte {
	dst = AppendString(append(dst, `{"id":`...), j.ID)
	dst = strconv.AppendInt(append(dst, `,"trigger_time":`...), j.Trigger, 10)
	dst = append(append(dst, `,"meta":`...), j.Meta...)
	return AppendString(append(dst, `,"route":`...), j.Route)
}
