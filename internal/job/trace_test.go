package job_test

import (
	"regexp"
	"strings"
	"testing"

	"belfry/internal/job"
)

func TestParseTrace(t *testing.T) {
	t.Parallel()
	const ids = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
	for header, want := range map[string]string{
		"":                                 "",
		"00" + ids + "01":                  "00" + ids + "01",
		"00" + ids + "00":                  "00" + ids + "00",
		"00" + ids + "ff":                  "00" + ids + "ff",
		"00" + ids + "01-more":             "", // not in this version
		"00" + ids + "01 ":                 "",
		"00" + ids + "0":                   "",
		"00" + ids + "0g":                  "",
		"00" + ids + "0F":                  "",
		"cc" + ids + "01":                  "00" + ids + "01",
		"cc" + ids + "03-what-e/v":         "00" + ids + "01",
		"cc" + ids + "0a":                  "00" + ids + "00",
		"cc" + ids + "01.more":             "",
		"ff" + ids + "01":                  "",
		"0" + ids + "01-1":                 "",
		strings.ToUpper("00" + ids + "01"): "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":         "",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":         "",
		"00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01":         "",
		"00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01":         "",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX: 1": "",
	} {
		if got := job.ParseTrace(header); got != want {
			t.Errorf("ParseTrace(%q) = %q, want %q", header, got, want)
		}
	}
}

// FuzzParseTrace checks that the kept value is well formed for any input, and stays
// the same when it is parsed again.
func FuzzParseTrace(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more")
	form := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
	f.Fuzz(func(t *testing.T, header string) {
		got := job.ParseTrace(header)
		if got != "" && !form.MatchString(got) || job.ParseTrace(got) != got {
			t.Errorf("ParseTrace(%q) = %q, and %q when read again", header, got, job.ParseTrace(got))
		}
	})
}
