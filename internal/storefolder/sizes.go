package storefolder

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Sizes are the sizes of all streams' block files as a cleanly stopped server left
// them.
type Sizes struct {
	Blocks map[string]map[string]int64 `json:"blocks"` // bytes by stream and file name

	// Written is when the stream that each run of a server writes to was last
	// written. A different time means that a server has run since.
	Written time.Time `json:"written"`
}

// Measure takes the sizes of the blocks of some streams in dir. always names the
// stream that each run of a server writes to.
func Measure(dir string, names []string, always string) (Sizes, error) {
	s := Sizes{Blocks: map[string]map[string]int64{}}
	for _, name := range names {
		all, err := blocks(dir, name)
		if err != nil {
			return s, err
		}
		s.Blocks[name] = map[string]int64{}
		for _, b := range all {
			info, err := os.Stat(b.path)
			if err != nil {
				return s, err
			}
			s.Blocks[name][filepath.Base(b.path)] = info.Size()
			if name == always && info.ModTime().After(s.Written) {
				s.Written = info.ModTime().UTC()
			}
		}
	}
	return s, nil
}

// Changes says how the blocks of a stream changed since they were measured, unless a
// server has run since.
func (s Sizes) Changes(now Sizes, stream string) []string {
	if !s.Written.Equal(now.Written) {
		return nil
	}
	var all []string
	for _, file := range slices.Sorted(maps.Keys(s.Blocks[stream])) {
		was := s.Blocks[stream][file]
		switch is, ok := now.Blocks[stream][file]; {
		case !ok:
			all = append(all, fmt.Sprintf("block %s is gone; it had %d bytes", file, was))
		case is != was:
			all = append(all, fmt.Sprintf("block %s has %d bytes; it had %d", file, is, was))
		}
	}
	return all
}
