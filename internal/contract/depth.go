package contract

import (
	"fmt"

	"belfry/internal/job"
)

// tooDeep is the error for a meta that is nested too deep. It is answered like the
// [job.ErrSyntax] that it wraps, but it does not call the JSON wrong.
type tooDeep int

func (d tooDeep) Error() string {
	return fmt.Sprintf("meta is nested %d deep; a depth of up to %d is accepted", int(d), job.MaxMetaDepth)
}

func (tooDeep) Unwrap() error { return job.ErrSyntax }

func checkDepth(meta []byte) error {
	if d := Depth(meta); d > job.MaxMetaDepth {
		return tooDeep(d)
	}
	return nil
}

// Depth returns how deep the arrays and objects of a JSON value are nested. An
// invalid value has some depth, too.
func Depth(value []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			i = endOfString(value, i)
		case '[', '{':
			if depth++; depth > deepest {
				deepest = depth
			}
		case ']', '}':
			depth--
		}
	}
	return deepest
}

// endOfString returns the index of the last quote of the string that begins at i, or
// the end of the text.
func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// CutMember takes the value of a member out of a JSON object and puts null in its
// place. It works at any depth, where a decoder would give up. The caller must check
// whether rest and value are valid JSON. ok is false if the member does not exist.
func CutMember(object []byte, name string) (rest, value []byte, ok bool) {
	depth, begin := 0, -1
	key := `"` + name + `":`
	for i := 0; i < len(object); i++ {
		switch c := object[i]; c {
		case '"':
			if depth == 1 && begin < 0 && isMember(object, i, key) {
				i += len(key) - 1
				begin = i + 1
				continue
			}
			i = endOfString(object, i)
		case '[', '{':
			depth++
		case ']', '}', ',':
			if begin >= 0 && (depth == 1 || depth == 2 && c != ',') {
				end := i
				if depth == 2 {
					end++ // the value's own bracket
				}
				rest = append(append(rest, object[:begin]...), "null"...)
				return append(rest, object[end:]...), object[begin:end], true
			}
			if c != ',' {
				depth--
			}
		}
	}
	return nil, nil, false
}

// isMember reports whether a key begins at i, as opposed to a value that looks like
// it.
func isMember(object []byte, i int, key string) bool {
	return len(object) >= i+len(key) && string(object[i:i+len(key)]) == key && i > 0 && (object[i-1] == '{' || object[i-1] == ',')
}
