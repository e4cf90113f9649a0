package job

import "strings"

// traceLength is that of a traceparent of version 00.
const traceLength = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// ParseTrace returns a traceparent header as it is kept with a job: in the form
// of version 00 of W3C Trace Context, also when it is of a later version, whose
// beginning means the same. It is empty if the header is not a valid one.
func ParseTrace(header string) string {
	if len(header) < traceLength {
		return ""
	}
	own, more := header[:traceLength], header[traceLength:]
	parts := strings.Split(own, "-")
	if len(parts) != 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return ""
	}
	for _, p := range parts {
		if strings.Trim(p, "0123456789abcdef") != "" {
			return ""
		}
	}
	later := parts[0] != "00"
	switch {
	case parts[0] == "ff", strings.Trim(parts[1], "0") == "", strings.Trim(parts[2], "0") == "":
		return ""
	case more != "" && (!later || more[0] != '-'):
		return ""
	case later:
		// Of the flags a later version may give others a meaning.
		flags := "00"
		if strings.IndexByte("13579bdf", parts[3][1]) >= 0 {
			flags = "01"
		}
		return strings.Join([]string{"00", parts[1], parts[2], flags}, "-")
	}
	return own
}
