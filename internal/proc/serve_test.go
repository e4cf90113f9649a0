package proc_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"belfry/internal/proc"
)

// serving is the test binary as a child that says these lines and stays.
func serving(lines ...string) *proc.Process {
	return &proc.Process{
		Name: "child", Path: os.Args[0], Args: lines,
		Env: append(os.Environ(), asChild+"=serving"),
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	p := serving("one", `{"msg":"belfry is listening","api":"http://127.0.0.1:1"}`, "three")
	var read []string
	l, err := p.Serve(t.Context(), func(l proc.Line) { read = append(read, l.Text) })
	if err != nil {
		t.Fatal(err)
	}
	if want := "http://127.0.0.1:1"; l.API != want {
		t.Errorf("Serve: the API is at %q, want %q", l.API, want)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if got, want := strings.Join(read, "\n"), strings.Join(p.Args, "\n"); got != want {
		t.Errorf("read %q of the log, want %q", got, want)
	}
}

func TestServeThatFails(t *testing.T) {
	t.Parallel()
	interrupted, interrupt := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name string
		ctx  context.Context
		p    *proc.Process
		read func(proc.Line)
		want string
	}{
		{
			"ended", t.Context(),
			&proc.Process{Name: "child", Path: os.Args[0], Env: append(os.Environ(), asChild+"=broken")},
			func(proc.Line) {},
			"child ended before it was ready: exit status 3",
		},
		{
			"interrupted", interrupted, serving("not yet"), func(proc.Line) { interrupt() },
			"child is not ready: context canceled",
		},
		{
			"no such program", t.Context(), &proc.Process{Name: "child", Path: "./none"}, func(proc.Line) {},
			"couldn't start child: fork/exec ./none: no such file or directory",
		},
	} {
		_, err := tt.p.Serve(tt.ctx, tt.read)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: Serve: %v, want %s", tt.name, err, tt.want)
		}
		if tt.p.Running() {
			t.Errorf("%s: it runs after a Serve that failed", tt.name)
		}
	}
}
