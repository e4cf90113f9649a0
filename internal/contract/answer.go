package contract

// OK is the answer to every write that succeeded.
const OK = `{"status":"ok"}`

// AppendRefusal appends the answer to every request that did not succeed: the
// reason for people, and its code for robots.
func AppendRefusal(dst []byte, reason, code string) []byte {
	dst = AppendString(append(dst, `{"error":`...), reason)
	dst = AppendString(append(dst, `,"code":`...), code)
	return append(dst, '}')
}
