package proc

import "encoding/json"

// SaysListening is what a belfry logs once it takes requests.
const SaysListening = "belfry is listening"

// Listening returns the URLs of the API and of NATS that a belfry names when it
// takes requests. ok is false for all other lines of its JSON log, and for what
// is none.
func Listening(line []byte) (api, nats string, ok bool) {
	var said struct{ Msg, API, NATS string }
	if json.Unmarshal(line, &said) != nil || said.Msg != SaysListening {
		return "", "", false
	}
	return said.API, said.NATS, true
}
