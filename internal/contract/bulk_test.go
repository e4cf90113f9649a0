package contract_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// read reads a bulk to its end. It returns each object as "number:object", and the
// error that ended the bulk. The error of a lost line is among the objects.
func read(in io.Reader, limit int) (all []string, end error) {
	b := contract.NewBulk(in, limit)
	for {
		object, number, more, err := b.Next()
		switch {
		case err == io.EOF:
			return all, nil
		case err != nil && !more:
			return all, err
		case err != nil:
			all = append(all, fmt.Sprintf("%d:too large", number))
		default:
			all = append(all, fmt.Sprintf("%d:%s", number, strings.TrimSpace(string(object))))
		}
	}
}

func TestBulk(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		body, want string
		end        error
	}{
		{`[]`, "", nil},
		{` [ ] `, "", nil},
		{`[{"a":[1]}, 2 ,"x"]` + "\n", `1:{"a":[1]} 2:2 3:"x"`, nil},
		{"{\"a\":1}\n{\"a\":2}", `1:{"a":1} 2:{"a":2}`, nil},
		{"\n\r\n{}\r\n \n{}\n\n", `3:{} 5:{}`, nil},
		{"{}\n{broken\n[]\n", `1:{} 2:{broken 3:[]`, nil},
		{"{}\n" + long + "\n{}", `1:{} 2:too large 3:{}`, nil},
		{"{}\n" + long, `1:{} 2:too large`, nil},
		{``, "", job.ErrEmptyBody},
		{" \n ", "", job.ErrEmptyBody},
		{strings.Repeat(" ", 60), "", job.ErrTooLarge},
		{`[`, "", job.ErrSyntax},
		{`[1,2`, "1:1 2:2", job.ErrSyntax},
		{`[1,]`, "1:1", job.ErrSyntax},
		{`[1 2]`, "1:1", job.ErrSyntax},
		{`[1]2`, "1:1", job.ErrSyntax},
		{`[1]x`, "1:1", job.ErrSyntax},
		{`["` + long + `"]`, "", job.ErrTooLarge},
	} {
		for name, in := range map[string]io.Reader{
			"whole": strings.NewReader(tt.body), "by bytes": iotest.OneByteReader(strings.NewReader(tt.body)),
		} {
			all, end := read(in, 50)
			if got := strings.Join(all, " "); got != tt.want || !errors.Is(end, tt.end) {
				t.Errorf("%.60q, %s: got %s and %v, want %s and %v", tt.body, name, got, end, tt.want, tt.end)
			}
		}
	}
	// Bulk reads nothing far beyond an element that is too long.
	endless := &counter{in: io.MultiReader(strings.NewReader(`["`), zeros{})}
	if _, err := read(endless, 50); !errors.Is(err, job.ErrTooLarge) || endless.n > 256<<10 {
		t.Errorf("an endless element: %v after %d bytes, want too large after a few", err, endless.n)
	}
	broken := errors.New("broken")
	for _, begin := range []string{"", "[", "[1,", "{}\n{"} {
		if _, err := read(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(broken)), 50); !errors.Is(err, broken) {
			t.Errorf("%q and then a broken connection: %v, want that it broke", begin, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

type counter struct {
	in io.Reader
	n  int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += n
	return n, err
}

func FuzzBulk(f *testing.F) {
	for _, body := range []string{"[]", "[{},1]", "{}\n{}\n", "\n\n[1]", "x\n" + strings.Repeat("y", 80), "[[[[", "\xff\n"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		const limit = 64
		b := contract.NewBulk(strings.NewReader(body), limit)
		for last := 0; ; {
			object, number, more, err := b.Next()
			if err == io.EOF {
				return
			}
			if err == nil && (number <= last || len(object) > limit+2) || (err == nil) != (object != nil) {
				t.Fatalf("%q: object %q, number %d after %d, %v", body, object, number, last, err)
			}
			if err != nil && !more {
				return
			}
			last = number
		}
	})
}
