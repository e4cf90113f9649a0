package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"belfry/internal/fault"
)

// Manifest says what Belfry has made. A stream that stands in it and is not
// there was lost, and is not made anew.
type Manifest struct {
	Version    int              `json:"version"`
	Prefix     string           `json:"prefix,omitempty"` // of the names
	Partitions int              `json:"partitions"`
	Made       []string         `json:"made"`             // streams that Belfry has used
	Making     []string         `json:"making,omitempty"` // streams that nobody has used yet
	Known      map[string]Known `json:"known,omitempty"`  // how far each stream was
	Damage     []Damage         `json:"damage,omitempty"` // what nobody has accepted yet
	Accepted   []string         `json:"accepted,omitempty"`
}

// Known is how far a stream was when it was last looked at.
type Known struct {
	Last    uint64    `json:"last"`
	Created time.Time `json:"created"`
}

// firstVersion changes when an older Belfry cannot read a manifest any more. One
// from before prefixes would make a second store beside one that has a prefix.
const (
	firstVersion    = 1
	prefixedVersion = 2
)

// ErrBad completes an error about a manifest that is of no use.
var ErrBad = errors.New(fault.ManifestBad)

// sealed is a manifest with its checksum, as it is stored.
type sealed struct {
	Sum      string          `json:"sha256"`
	Manifest json.RawMessage `json:"manifest"`
}

// Encode returns it as it is stored, with a checksum.
func (m Manifest) Encode() ([]byte, error) {
	m.Version = firstVersion
	if m.Prefix != "" {
		m.Version = prefixedVersion
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return json.Marshal(sealed{hex.EncodeToString(sum[:]), text})
}

// Decode undoes Encode. No text is no manifest.
func Decode(text []byte) (m Manifest, found bool, err error) {
	if len(text) == 0 {
		return m, false, nil
	}
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return m, true, fmt.Errorf("%w: %v", ErrBad, err)
	}
	sum := sha256.Sum256(s.Manifest)
	if stored, err := hex.DecodeString(s.Sum); err != nil || !bytes.Equal(stored, sum[:]) {
		return m, true, fmt.Errorf("%w: its checksum does not match", ErrBad)
	}
	if err := json.Unmarshal(s.Manifest, &m); err != nil {
		return m, true, fmt.Errorf("%w: %v", ErrBad, err)
	}
	if m.Version < firstVersion || m.Version > prefixedVersion {
		return m, true, fmt.Errorf("%w: it has version %d, and this Belfry reads versions up to %d", ErrBad, m.Version, prefixedVersion)
	}
	return m, true, nil
}

// IsNewer reports whether a Belfry from before prefixes cannot read it.
func (m Manifest) IsNewer() bool { return m.Version > firstVersion }

// Announce notes that streams are about to be made, and reports whether that is
// news.
func (m *Manifest) Announce(names []string, partitions int) bool {
	var news []string
	for _, name := range names {
		if !slices.Contains(m.Made, name) && !slices.Contains(m.Making, name) {
			news = append(news, name)
		}
	}
	changed := len(news) > 0 || m.Partitions != partitions
	m.Making = append(m.Making, news...)
	m.Partitions = partitions
	return changed
}

// NoteMade notes that the announced streams are there.
func (m *Manifest) NoteMade() bool {
	if len(m.Making) == 0 {
		return false
	}
	m.Made = append(m.Made, m.Making...)
	m.Making = nil
	return true
}

// Forget takes in that streams start anew.
func (m *Manifest) Forget(names []string) {
	m.Made = slices.DeleteFunc(m.Made, func(name string) bool { return slices.Contains(names, name) })
	for _, name := range names {
		delete(m.Known, name)
	}
}

// Damage is something that was stored and is not there any more, or cannot be
// read.
type Damage struct {
	Stream string    `json:"stream"`
	What   string    `json:"what"`
	Found  time.Time `json:"found"`
}

func (d Damage) key() string { return d.Stream + ": " + d.What }

// The most damage that is listed, and that is remembered as accepted. More would
// say no more.
const (
	maxDamage   = 50
	maxAccepted = 1000
)

// NoteDamage notes damage, unless it is known or was accepted, and reports whether
// it is news.
func (m *Manifest) NoteDamage(d Damage) bool {
	if m.Lists(d) || slices.Contains(m.Accepted, d.key()) || len(m.Damage) >= maxDamage {
		return false
	}
	m.Damage = append(m.Damage, d)
	return true
}

// Lists reports whether damage is in the list of what nobody has accepted.
func (m Manifest) Lists(d Damage) bool {
	return slices.ContainsFunc(m.Damage, func(have Damage) bool { return have.key() == d.key() })
}

// DamageID names the damage that nobody has accepted; "" is none. More damage
// has another name.
func (m Manifest) DamageID() string {
	if len(m.Damage) == 0 {
		return ""
	}
	var keys []string
	for _, d := range m.Damage {
		keys = append(keys, d.key())
	}
	slices.Sort(keys)
	sum := sha256.Sum256([]byte(strings.Join(keys, "\n")))
	return hex.EncodeToString(sum[:4])
}

// Accept takes in that somebody knows of the damage of that name.
func (m *Manifest) Accept(id string) bool {
	if id == "" || id != m.DamageID() {
		return false
	}
	for _, d := range m.Damage {
		m.Accepted = append(m.Accepted, d.key())
	}
	m.Accepted = m.Accepted[max(0, len(m.Accepted)-maxAccepted):]
	m.Damage = nil
	return true
}
