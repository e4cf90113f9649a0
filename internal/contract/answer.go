package contract

// OK is the answer to every write that succeeded.
const OK = `{"status":"ok"}`

// AppendReady appends the answer of a server that is ready. It includes any warnings.
func AppendReady(dst []byte, warnings []string) []byte {
	if len(warnings) == 0 {
		return append(dst, OK...)
	}
	dst = append(dst, `{"status":"ok","warnings":[`...)
	for i, w := range warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, w)
	}
	return append(dst, "]}"...)
}

// AppendRefusal appends the answer to every request that did not succeed: a reason
// for humans and a machine-readable code.
func AppendRefusal(dst []byte, reason, code string) []byte {
	dst = AppendString(append(dst, `{"error":`...), reason)
	dst = AppendString(append(dst, `,"code":`...), code)
	return append(dst, '}')
}
