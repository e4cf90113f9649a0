package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
)

// Links from one document to another lead to a file that exists, and to one of its
// headings.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	docs = append(docs, "../../README.md", "../../CHANGELOG.md", "../../CONTRIBUTING.md")
	found := 0
	for _, doc := range docs {
		for _, l := range linksOf(t, doc) {
			found++
			if _, err := os.Stat(l.target); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", doc, l.written, err)
			} else if l.anchor != "" && !anchors(readText(t, l.target))[l.anchor] {
				t.Errorf("%s: %s has no heading for #%s", doc, l.target, l.anchor)
			}
		}
	}
	if found < len(docs) {
		t.Errorf("found %d links in %d documents; the pattern must have missed them", found, len(docs))
	}
}

// docLink is a link from a document to a file beside it, or to itself.
type docLink struct {
	written string
	target  string // the file, as the document's own path is given
	anchor  string
}

// linksOf returns the links of a document, without those to web addresses.
func linksOf(t *testing.T, doc string) []docLink {
	t.Helper()
	var all []docLink
	for _, m := range link.FindAllStringSubmatch(readText(t, doc), -1) {
		file, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(file, "://") {
			continue
		}
		target := doc
		if file != "" {
			target = filepath.Join(filepath.Dir(doc), file)
		}
		all = append(all, docLink{m[1], target, anchor})
	}
	return all
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// anchors are the names that browsers of Markdown give its headings: lower case,
// with a dash for each blank, and no punctuation.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
				return r
			}
			return -1
		}, strings.ToLower(m[1]))] = true
	}
	return all
}
