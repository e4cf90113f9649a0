package command

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errUTF16 refuses UTF-16, which some editors call Unicode.
var errUTF16 = errors.New("it is in UTF-16, as its byte order mark says; UTF-8 is accepted")

// markless is a text without the byte order mark that some editors put before it.
type markless struct {
	io.Closer
	in    *bufio.Reader
	began bool
}

// withoutMark skips the byte order mark of UTF-8, and refuses UTF-16 as a whole.
func withoutMark(in io.ReadCloser) io.ReadCloser {
	return &markless{Closer: in, in: bufio.NewReader(in)}
}

func (m *markless) Read(p []byte) (int, error) {
	if !m.began {
		m.began = true
		start, _ := m.in.Peek(3) // an error comes up again on the next read
		switch {
		case bytes.Equal(start, []byte("\xef\xbb\xbf")):
			_, _ = m.in.Discard(len(start)) // these bytes are buffered
		case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
			return 0, errUTF16
		}
	}
	return m.in.Read(p)
}
