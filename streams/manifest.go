package streams

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

// manifest says what Belfry has made. A stream that stands in it and is not
// there was lost, and is not made anew.
type manifest struct {
	Version    int              `json:"version"`
	Prefix     string           `json:"prefix,omitempty"` // of the names
	Partitions int              `json:"partitions"`
	Made       []string         `json:"made"`             // streams that Belfry has used
	Making     []string         `json:"making,omitempty"` // streams that nobody has used yet
	Known      map[string]known `json:"known,omitempty"`  // how far each stream was
	Damage     []Damage         `json:"damage,omitempty"` // what nobody has accepted yet
	Accepted   []string         `json:"accepted,omitempty"`
}

// known is how far a stream was when it was last looked at.
type known struct {
	Last    uint64    `json:"last"`
	Created time.Time `json:"created"`
}

// manifestVersion changes when an older Belfry cannot read a manifest any more. One
// from before prefixes would make a second store beside one that has a prefix.
const (
	manifestVersion = 1
	prefixedVersion = 2
)

// ErrManifest completes an error about a manifest that is of no use.
var ErrManifest = errors.New(fault.ManifestBad)

// sealed is a manifest with its checksum, as it is stored.
type sealed struct {
	Sum      string          `json:"sha256"`
	Manifest json.RawMessage `json:"manifest"`
}

func (m manifest) encode() ([]byte, error) {
	m.Version = manifestVersion
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

// decodeManifest undoes encode. No text is no manifest.
func decodeManifest(text []byte) (m manifest, found bool, err error) {
	if len(text) == 0 {
		return m, false, nil
	}
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return m, true, fmt.Errorf("%w: %v", ErrManifest, err)
	}
	sum := sha256.Sum256(s.Manifest)
	if stored, err := hex.DecodeString(s.Sum); err != nil || !bytes.Equal(stored, sum[:]) {
		return m, true, fmt.Errorf("%w: its checksum does not match", ErrManifest)
	}
	if err := json.Unmarshal(s.Manifest, &m); err != nil {
		return m, true, fmt.Errorf("%w: %v", ErrManifest, err)
	}
	if m.Version < manifestVersion || m.Version > prefixedVersion {
		return m, true, fmt.Errorf("%w: it has version %d, and this Belfry reads versions up to %d", ErrManifest, m.Version, prefixedVersion)
	}
	return m, true, nil
}

// announce notes that streams are about to be made, and reports whether that is
// news.
func (m *manifest) announce(names []string, partitions int) bool {
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

// made notes that the announced streams are there.
func (m *manifest) made() bool {
	if len(m.Making) == 0 {
		return false
	}
	m.Made = append(m.Made, m.Making...)
	m.Making = nil
	return true
}

// forget takes in that streams start anew.
func (m *manifest) forget(names []string) {
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

// damaged notes damage, unless it is known or was accepted, and reports whether
// it is news.
func (m *manifest) damaged(d Damage) bool {
	same := func(have Damage) bool { return have.key() == d.key() }
	if slices.ContainsFunc(m.Damage, same) || slices.Contains(m.Accepted, d.key()) || len(m.Damage) >= maxDamage {
		return false
	}
	m.Damage = append(m.Damage, d)
	return true
}

// damageID names the damage that nobody has accepted; "" is none. More damage
// has another name.
func (m manifest) damageID() string {
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

// accept takes in that somebody knows of the damage of that name.
func (m *manifest) accept(id string) bool {
	if id == "" || id != m.damageID() {
		return false
	}
	for _, d := range m.Damage {
		m.Accepted = append(m.Accepted, d.key())
	}
	m.Accepted = m.Accepted[max(0, len(m.Accepted)-maxAccepted):]
	m.Damage = nil
	return true
}
