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

// Manifest records what Belfry has created. A stream that it lists and that does not
// exist was lost, and is not recreated.
type Manifest struct {
	Version    int              `json:"version"`
	Prefix     string           `json:"prefix,omitempty"` // of all names
	Partitions int              `json:"partitions"`
	Made       []string         `json:"made"`             // streams that Belfry has used
	Making     []string         `json:"making,omitempty"` // streams that nobody has used yet
	Known      map[string]Known `json:"known,omitempty"`  // how far each stream was
	Damage     []Damage         `json:"damage,omitempty"` // not accepted yet
	Accepted   []string         `json:"accepted,omitempty"`
}

// Known is how far a stream was at the last look.
type Known struct {
	Last    uint64    `json:"last"`
	Created time.Time `json:"created"`
}

// firstVersion changes when an older Belfry cannot read a manifest any more. A Belfry
// from before prefixes would create a second store beside one that has a prefix.
const (
	firstVersion    = 1
	prefixedVersion = 2
)

// ErrBad completes an error about a manifest that cannot be used.
var ErrBad = errors.New(fault.ManifestBad)

// sealed is the stored form of a manifest, with its checksum.
type sealed struct {
	Sum      string          `json:"sha256"`
	Manifest json.RawMessage `json:"manifest"`
}

// Encode returns the stored form, with a checksum.
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

// Decode undoes Encode. For empty text found is false.
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

// IsNewer reports whether a Belfry from before prefixes cannot read the manifest.
func (m Manifest) IsNewer() bool { return m.Version > firstVersion }

// Announce records that streams are about to be created, and reports whether that is new.
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

// NoteMade records that the announced streams exist.
func (m *Manifest) NoteMade() bool {
	if len(m.Making) == 0 {
		return false
	}
	m.Made = append(m.Made, m.Making...)
	m.Making = nil
	return true
}

// Forget drops streams that are recreated empty.
func (m *Manifest) Forget(names []string) {
	m.Made = slices.DeleteFunc(m.Made, func(name string) bool { return slices.Contains(names, name) })
	for _, name := range names {
		delete(m.Known, name)
	}
}

// Damage is something that was stored and is missing, or cannot be read.
type Damage struct {
	Stream string    `json:"stream"`
	What   string    `json:"what"`
	Found  time.Time `json:"found"`
}

func (d Damage) key() string { return d.Stream + ": " + d.What }

// maxDamage bounds the listed damage, and maxAccepted the damage that is remembered as
// accepted. Longer lists would say no more.
const (
	maxDamage   = 50
	maxAccepted = 1000
)

// NoteDamage records damage, unless it is known or was accepted, and reports whether it
// is new.
func (m *Manifest) NoteDamage(d Damage) bool {
	if m.Lists(d) || slices.Contains(m.Accepted, d.key()) || len(m.Damage) >= maxDamage {
		return false
	}
	m.Damage = append(m.Damage, d)
	return true
}

// Lists reports whether the list of unaccepted damage has d.
func (m Manifest) Lists(d Damage) bool {
	return slices.ContainsFunc(m.Damage, func(have Damage) bool { return have.key() == d.key() })
}

// DamageID identifies the unaccepted damage; "" means that there is none. The id changes
// with each new damage.
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

// Accept accepts the damage if id is its DamageID, and reports whether it was.
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
