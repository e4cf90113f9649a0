package streams

// LargePulls counts the routes of which large fires are expected.
func (in *Inboxes) LargePulls() (n int) {
	in.large.Range(func(any, any) bool { n++; return true })
	return n
}
