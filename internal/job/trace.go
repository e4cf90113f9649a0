package job

import "strings"

// traceLength is the length of a traceparent of version 00.
const traceLength = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// ParseTrace returns a traceparent header in the form that is kept with a job:
// version 00 of W3C Trace Context. A later version is accepted, too, since its
// beginning means the same. The result is empty if the header is not valid.
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
		// A later version may give other flags a meaning.
		flags := "00"
		if strings.IndexByte("13579bdf", parts[3][1]) >= 0 {
			flags = "01"
		}
		return strings.Join([]string{"00", parts[1], parts[2], flags}, "-")
	}
	return own
}
