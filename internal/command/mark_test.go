package command

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A byte order mark is not part of the text that is read, whether from a file or from
// standard input. Text in UTF-16 is refused whole.
func TestByteOrderMarks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\ufeff{}": "{}", "{}": "{}", "": "", "\ufeff": "", "a\ufeffb": "a\ufeffb", "\xef\xbb": "\xef\xbb",
		"\xff\xfe{\x00}\x00": "UTF-16", "\xfe\xff\x00{\x00}": "UTF-16",
	} {
		path := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{path, "-"} {
			got, err := Env{Stdin: strings.NewReader(text)}.content(t.Context(), "--data", from)
			if err != nil {
				got = err.Error()
			}
			if got != want && (want != "UTF-16" || !strings.Contains(got, want)) {
				t.Errorf("%q from %s is read as %q, want %q", text, from, got, want)
			}
		}
	}
	in, err := Env{Stdin: strings.NewReader("\ufeff" + strings.Repeat("x", 100_000))}.open(t.Context(), "-")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if all, err := io.ReadAll(in); err != nil || len(all) != 100_000 {
		t.Errorf("a long stream: %d bytes and %v", len(all), err)
	}
}

// A time without a zone that stands for no moment, or for two, is refused, and the
// error lists unambiguous spellings.
func TestTimesWhereClocksAreSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, time, before, after string }{
		{"Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"},
		{"Europe/Berlin", "2026-03-29 02:00:00", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "2026-10-25T02:30", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"},
		{"Europe/Berlin", "2026-10-25T02:59:59", "2026-10-25T02:59:59+02:00", "2026-10-25T02:59:59+01:00"},
		{"America/New_York", "2026-11-01T01:15", "2026-11-01T01:15:00-04:00", "2026-11-01T01:15:00-05:00"},
		{"Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-04T01:45:00+10:30", "2026-10-04T02:45:00+11:00"},
		{"Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"},
		{"America/Havana", "2026-03-08", "2026-03-07T23:00:00-05:00", "2026-03-08T01:00:00-04:00"},
		{"Pacific/Apia", "2011-12-30T12:00", "2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"},

		{"Europe/Berlin", "2026-03-29T01:59:59", "", ""},
		{"Europe/Berlin", "2026-03-29T03:00", "", ""},
		{"Europe/Berlin", "2026-10-25T01:59:59", "", ""},
		{"Europe/Berlin", "2026-10-25T03:00", "", ""},
		{"UTC", "2026-03-29T02:30", "", ""},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := parseMoment(tt.time, time.Now().In(zone))
		why := notOneMoment(tt.time, zone)
		if refused := tt.before != ""; ok == refused || refused != (why != "") || refused && (!strings.Contains(why, tt.before) || !strings.Contains(why, tt.after)) {
			t.Errorf("%s in %s: accepted %v, %q; want %s and %s in it", tt.time, tt.zone, ok, why, tt.before, tt.after)
		}
	}
	for _, s := range []string{"2026-10-25T02:30Z", "2026-10-25T02:30:00+01:00", "now", "tomorrow"} {
		if zone, err := time.LoadLocation("Europe/Berlin"); err != nil || notOneMoment(s, zone) != "" {
			t.Errorf("%s: %q and %v, want nothing", s, notOneMoment(s, zone), err)
		}
	}
}
