package deadletter

import "belfry/internal/job"

// Advisory parses an advisory and returns why its fire is buried.
func Advisory(data []byte) (consumer string, seq uint64, reason job.Reason, detail string, err error) {
	a, err := readAdvisory(data)
	if err != nil {
		return "", 0, "", "", err
	}
	reason, detail = a.why()
	return a.Consumer, a.StreamSeq, reason, detail, nil
}
