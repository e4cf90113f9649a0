package proc

import (
	"encoding/json"
	"strings"
)

// SaysListening is what a belfry logs once it takes requests.
const SaysListening = "belfry is listening"

// Line is one line that a belfry wrote, which logs in JSON.
type Line struct {
	Text string `json:"-"` // all of it

	// The following fields are empty if the line is not from the log, such as a line
	// of a panic.
	Level string
	Msg   string
	API   string // the URLs that SaysListening comes with
	NATS  string
}

// ParseLine reads a line. Other text may precede the log's own, since the Go runtime
// writes its lines in pieces.
func ParseLine(text string) Line {
	var l Line
	_, object, ok := strings.Cut(text, "{")
	if !ok || json.Unmarshal([]byte("{"+object), &l) != nil {
		return Line{Text: text}
	}
	l.Text = text
	return l
}

// Alarming reports whether the person who started the process should see the line.
func (l Line) Alarming() bool {
	return l.Msg == "" || l.Level == "WARN" || l.Level == "ERROR"
}
