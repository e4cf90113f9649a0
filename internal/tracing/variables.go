package tracing

import (
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// variable is an OTEL_* variable and the values that it may have.
type variable struct {
	name    string
	accepts string
	valid   func(string) bool
}

// The exporter's variables begin with one of these.
const (
	allSignals = "OTEL_EXPORTER_OTLP_"
	onlyTraces = "OTEL_EXPORTER_OTLP_TRACES_"
)

// variables are those whose wrong values would otherwise be reported together with
// the value, or not at all.
var variables = func() []variable {
	all := []variable{
		{"OTEL_SDK_DISABLED", "true and false are accepted", oneOf("true", "false")},
		{"OTEL_TRACES_EXPORTER", "otlp and none are accepted", oneOf("otlp", "none")},
		{"OTEL_TRACES_SAMPLER", "always_on, always_off, traceidratio, and these with parentbased_ before them are accepted",
			oneOf("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")},
		{"OTEL_TRACES_SAMPLER_ARG", "0 to 1 is accepted", func(s string) bool {
			share, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			return err == nil && share >= 0 && share <= 1
		}},
		{"OTEL_RESOURCE_ATTRIBUTES", "key=value is accepted, with commas between several", pairs},
	}
	for _, signal := range []string{allSignals, onlyTraces} {
		all = append(all,
			variable{signal + "ENDPOINT", "an http or https URL is accepted", isURL},
			variable{signal + "PROTOCOL", "http/protobuf is accepted", oneOf("http/protobuf")},
			variable{signal + "COMPRESSION", "gzip and none are accepted", oneOf("gzip", "none")},
			variable{signal + "HEADERS", "key=value is accepted, with commas between several", pairs},
			variable{signal + "INSECURE", "true and false are accepted", oneOf("true", "false")},
			variable{signal + "TIMEOUT", "milliseconds are accepted", isNumber},
			variable{signal + "CERTIFICATE", "a file that can be read is accepted", isFile},
			variable{signal + "CLIENT_CERTIFICATE", "a file that can be read is accepted", isFile},
			variable{signal + "CLIENT_KEY", "a file that can be read is accepted", isFile},
		)
	}
	for _, name := range []string{
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
		"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT",
		"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
	} {
		all = append(all, variable{name, "a whole number is accepted", isNumber})
	}
	return all
}()

// turnsOff reports whether a wrong value leaves no destination or no way to export.
// Other variables then keep the behavior that applies without them.
func (v variable) turnsOff() bool {
	return v.name == "OTEL_TRACES_EXPORTER" || strings.HasSuffix(v.name, "_ENDPOINT") || strings.HasSuffix(v.name, "_PROTOCOL")
}

// overridden reports whether a variable for all signals has a counterpart for traces
// with an accepted value. If so, only the counterpart counts.
func overridden(name string) bool {
	rest, general := strings.CutPrefix(name, allSignals)
	if !general || strings.HasPrefix(name, onlyTraces) {
		return false
	}
	i := slices.IndexFunc(variables, func(v variable) bool { return v.name == onlyTraces+rest })
	if i < 0 {
		return false
	}
	value := os.Getenv(variables[i].name)
	return value != "" && variables[i].valid(value)
}

func oneOf(accepted ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(accepted, strings.ToLower(strings.TrimSpace(s))) }
}

func isNumber(s string) bool {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return err == nil && n >= 0
}

func isFile(s string) bool {
	f, err := os.Open(s)
	if err != nil {
		return false
	}
	_ = f.Close() // it was only looked at
	return true
}

func isURL(s string) bool {
	u, err := url.Parse(strings.TrimSpace(s))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func pairs(s string) bool {
	for pair := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(strings.TrimSpace(value)); strings.TrimSpace(pair) != "" && (!ok || err != nil || strings.TrimSpace(key) == "") {
			return false
		}
	}
	return true
}
