package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/internal/backup"
	"belfry/internal/client"
	"belfry/internal/command"
	"belfry/internal/job"
)

// readBackup reads a backup to its end.
func readBackup(from io.Reader) error {
	file, err := backup.NewReader(from)
	for err == nil {
		_, err = file.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// at is the environment of a command for a server.
func (p *running) at() map[string]string { return map[string]string{"BELFRY_SERVER": p.ready["api"]} }

// named gives timers ids of their own.
func named(name string, jobs []timer) []timer {
	for i := range jobs {
		jobs[i].id = name + jobs[i].id
	}
	return jobs
}

// A backup is made of a belfry that clients create, change and cancel jobs of
// while others fire; then that one is killed, and the backup is restored into a
// new one.
func TestBackupUnderLoad(t *testing.T) {
	const n = 3000
	in := newReceiver(t, nil)
	first := startProgram(t, t.TempDir())
	in.route(t, first, "r")
	now := time.Now()
	done := named("done", timers(100, now, time.Millisecond))
	first.createBulk(t, done, "r")
	in.waitFor(t, len(done))
	settled(t, first.jetStream(t), "db_r")
	later := now.Add(30 * time.Second)
	pending := named("pending", timers(n, later, time.Second))
	first.createBulk(t, pending, "r")
	cancelled := named("cancelled", timers(50, later, time.Second))
	first.createBulk(t, cancelled, "r")
	for _, j := range cancelled {
		first.must(t, http.MethodDelete, "/job/db/coll/"+j.id, "")
	}
	moved := named("moved", timers(20, later, time.Second))
	first.createBulk(t, moved, "r")
	toCancel := named("tocancel", timers(5000, later, time.Second))
	first.createBulk(t, toCancel, "r")

	// The load, from before the backup until after it.
	var load sync.WaitGroup
	var created, cancels, moves atomic.Int64
	lastMove := make([]atomic.Int64, len(moved)) // milliseconds that the job was moved by
	stop := make(chan struct{})
	errorf := few(t)
	busy := func(do func(i int) (answer, error)) {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := do(i); err != nil || !a.ok() {
					errorf("under load: %v (%v), want 200", a, err)
				}
			}
		})
	}
	ids := func(counter *atomic.Int64) int { return int(counter.Add(1)) }
	for range 2 {
		busy(func(int) (answer, error) { // due at once: they fire meanwhile
			j := timer{id: "created" + strconv.Itoa(ids(&created)), due: time.Now(), meta: "1"}
			a, _, err := first.insist(http.MethodPost, "/job/db/coll", j.body("r"))
			return a, err
		})
	}
	busy(func(int) (answer, error) {
		i := ids(&cancels)
		if i >= len(toCancel) {
			<-stop
			return answer{200, `{"status":"ok"}`}, nil
		}
		a, _, err := first.insist(http.MethodDelete, "/job/db/coll/"+toCancel[i].id, "")
		return a, err
	})
	busy(func(i int) (answer, error) {
		k, by := i%len(moved), int64(i+1)
		j := moved[k]
		j.due = j.due.Add(time.Duration(by) * time.Millisecond)
		a, _, err := first.insist(http.MethodPut, "/job/db/coll/"+j.id, j.body("r"))
		if err == nil && a.ok() {
			lastMove[k].Store(by)
			moves.Add(1)
		}
		return a, err
	})
	eventually(t, func() string {
		if created.Load() < 50 || moves.Load() < 50 || cancels.Load() < 50 {
			return "the load has not begun"
		}
		return ""
	})
	movedBefore := make([]int64, len(moved))
	for i := range moved {
		movedBefore[i] = lastMove[i].Load()
	}
	cancelledBefore, createdBefore := cancels.Load()-1, created.Load()
	file := filepath.Join(t.TempDir(), "backup")
	stdout, _, err := belfryCommand(t, first.at(), "backup", file)
	if err != nil || !strings.HasPrefix(stdout, "backed up ") {
		t.Fatalf("belfry backup: %q, %v", stdout, err)
	}
	createdAfter, cancelledAfter := created.Load(), cancels.Load()
	close(stop)
	load.Wait()
	want := map[string]string{}
	for _, j := range done[:10] {
		for _, path := range []string{"/job/db/coll/" + j.id, "/job/db/coll/" + j.id + "/attempts"} {
			want[path] = first.must(t, http.MethodGet, path, "")
		}
	}
	first.kill(t)
	if time.Now().After(later) {
		t.Fatalf("the backup was made only %v after its jobs were due", time.Since(later))
	}
	t.Logf("%s; meanwhile %d were created, %d cancelled, %d moves in all", strings.TrimSpace(stdout),
		createdAfter-createdBefore, cancelledAfter-cancelledBefore, moves.Load())

	before := in.jobs()
	second := startProgram(t, t.TempDir())
	if stdout, _, err := belfryCommand(t, second.at(), "restore", file); err != nil || !strings.HasPrefix(stdout, "restored ") {
		t.Fatalf("belfry restore: %q, %v", stdout, err)
	}
	// Those that must fire, once and not before their time.
	in.wait(t, func() string {
		for _, j := range append(pending, moved...) {
			if len(in.byJob[j.id]) == 0 {
				return j.id + " has not arrived"
			}
		}
		return ""
	})
	eventually(t, func() string {
		for _, status := range []job.Status{job.Scheduled, job.Firing, job.Retrying} {
			if got := second.must(t, http.MethodGet, "/job/db?status="+string(status), ""); got != `{"jobs":[]}` {
				return "jobs are " + string(status) + ": " + got
			}
		}
		return ""
	})
	got := in.jobs()
	for id, posts := range got {
		again := posts[len(before[id]):]
		if len(again) > 1 {
			errorf("%s arrived %d times after the restore, want once at most", id, len(again))
		}
		for _, p := range again {
			due, err := strconv.ParseInt(p.header.Get(job.HeaderTriggerTime), 10, 64)
			if err != nil || p.at.UnixMilli() < due {
				errorf("%s, due at %d, arrived at %d", id, due, p.at.UnixMilli())
			}
			if len(before[id]) > 0 && before[id][0].fire != p.fire {
				errorf("%s arrived as %s, and as %s after the restore", id, before[id][0].fire, p.fire)
			}
		}
	}
	for _, j := range pending {
		if p := got[j.id]; len(p) != 1 || p[0].meta != j.meta || p[0].at.Before(j.due) {
			errorf("%s, due at %v, arrived as %v, want once and not early", j.id, j.due, p)
		}
	}
	for i, j := range moved {
		due, err := strconv.ParseInt(got[j.id][0].header.Get(job.HeaderTriggerTime), 10, 64)
		if by := due - j.due.UnixMilli(); err != nil || by < movedBefore[i] {
			errorf("%s was moved by %d ms when the backup began, and fires as moved by %d", j.id, movedBefore[i], by)
		}
	}
	for _, j := range append(cancelled, toCancel[1:cancelledBefore]...) {
		if len(got[j.id]) > 0 {
			errorf("%s arrived, which was cancelled before the backup", j.id)
		}
	}
	for _, j := range toCancel[min(cancelledAfter+1, int64(len(toCancel))):] {
		if len(got[j.id]) != 1 {
			errorf("%s arrived %d times, want once: it was not cancelled", j.id, len(got[j.id]))
		}
	}
	for _, j := range done {
		if len(got[j.id]) != 1 {
			errorf("%s arrived %d times, want once, before the backup", j.id, len(got[j.id]))
		}
	}
	for i := range createdBefore - 2 { // two may be under way
		id := "created" + strconv.FormatInt(i+1, 10)
		if len(got[id]) == 0 {
			errorf("%s never arrived", id)
		}
	}
	for path, want := range want {
		if got := second.must(t, http.MethodGet, path, ""); got != want {
			errorf("GET %s: %s after the restore, want %s", path, got, want)
		}
	}
}

// overdue writes a backup of jobs that are due, and their route.
func overdue(t *testing.T, n int, url string) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, backup.Header{ID: "overdue", Made: time.Now().UnixMilli(), Belfry: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	write := func(e job.Entry) {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	due := time.Now().Add(-time.Hour).UnixMilli()
	for i := range n {
		id := strconv.Itoa(i)
		r := job.New(job.Job{Key: job.Key{DB: "db", Collection: "coll", ID: id}, Trigger: due, Meta: []byte(id), Route: "r"}, "fire"+id)
		r.Revision = uint64(i + 1)
		write(job.Entry{Job: &r})
	}
	write(job.Entry{Route: &job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: url}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// A belfry is killed in the middle of a restore, started, and killed in the
// middle of the same restore; the third time all of it is restored. Until then
// nothing fires, and then each job once.
func TestKillWhileRestoring(t *testing.T) {
	t.Parallel()
	const n = 3000
	in := newReceiver(t, nil)
	data := t.TempDir()
	file := overdue(t, n, in.url)
	for i, part := range []float64{0.3, 0.7} {
		p := startProgram(t, data)
		c, err := client.New(p.ready["api"], "")
		if err != nil {
			t.Fatal(err)
		}
		rest, killed := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, err := c.Upload(t.Context(), "/restore", io.MultiReader(bytes.NewReader(file[:int(part*float64(len(file)))]), rest))
			ended <- err
		}()
		js := p.jetStream(t)
		eventually(t, func() string {
			s, err := js.Stream(t.Context(), "KV_jobs_0")
			if err != nil {
				return err.Error()
			}
			if got, want := s.CachedInfo().State.Msgs, part*n/2; float64(got) < want {
				return fmt.Sprintf("%d jobs are restored, want %.0f before the kill", got, want)
			}
			return ""
		})
		if a, err := p.do(http.MethodGet, "/readyz", ""); err != nil || a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "is being restored") {
			t.Errorf("restore %d: /readyz answers %v (%v), want 503 and why", i, a, err)
		}
		p.kill(t)
		killed.Close()
		if err := <-ended; err == nil {
			t.Fatal("the restore came to its end before the kill")
		}
	}
	p := startProgram(t, data)
	eventually(t, func() string {
		if a, err := p.do(http.MethodGet, "/readyz", ""); err != nil || !strings.Contains(a.body, "is being restored") {
			return fmt.Sprintf("/readyz answers %v (%v), want that a restore broke off", a, err)
		}
		return ""
	})
	if got := len(in.jobs()); got != 0 {
		t.Errorf("%d jobs fired before all of the backup was there", got)
	}
	name := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, _, err := belfryCommand(t, p.at(), "restore", name); err != nil || stdout != "restored 3000 jobs, 1 route\n" {
		t.Fatalf("belfry restore: %q, %v", stdout, err)
	}
	in.waitFor(t, n)
	settled(t, p.jetStream(t), "db_r")
	p.must(t, http.MethodGet, "/readyz", "")
	errorf := few(t)
	for id, posts := range in.jobs() {
		if len(posts) != 1 || posts[0].fire != "fire"+id || posts[0].meta != id {
			errorf("job %s arrived as %v, want once as fire%s", id, posts, id)
		}
	}
	for id, r := range records(t, p.jetStream(t)) {
		if r.status != job.Delivered && id != "epoch" {
			errorf("job %s is %s at the end, want delivered", id, r.status)
		}
	}
	if _, _, err := belfryCommand(t, p.at(), "restore", name); err == nil || !strings.HasSuffix(err.Error(), "(E141)") {
		t.Errorf("restored once more: %v, want E141", err)
	}
}

// Tokens come back as they were, the revoked ones too.
func TestBackupOfTokens(t *testing.T) {
	t.Parallel()
	const adminToken = "hunter2-is-my-admin-token"
	start := func() (*Server, map[string]string) {
		cfg := freePorts(t)
		cfg.AdminToken = adminToken
		s := startServer(t, cfg)
		return s, map[string]string{"BELFRY_SERVER": "http://" + s.Addr(), "BELFRY_TOKEN": adminToken}
	}
	_, env := start()
	var tokens []string
	for range 2 {
		out, _, err := belfryCommand(t, env, "token", "create", "--role", "writer", "--all-dbs")
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, strings.TrimSpace(out))
	}
	if _, _, err := belfryCommand(t, env, "token", "rm", strings.Split(tokens[1], "_")[1]); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(name, []byte("an earlier one"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _, err := belfryCommand(t, env, "backup", "--json", name)
	var told struct {
		Status   string          `json:"status"`
		BackedUp job.EntryCounts `json:"backed_up"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &told)
	}
	if err != nil || told.Status != "ok" || told.BackedUp[job.TokenEntry] != 1 || told.BackedUp[job.RevokedEntry] != 1 {
		t.Fatalf("belfry backup --json: %s, %v; want one token and a revoked one", out, err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the backup is %v (%v), want that only its owner reads it", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); err != nil || len(left) > 0 {
		t.Errorf("beside the backup there are %q (%v)", left, err)
	}
	second, env2 := start()
	if out, _, err := belfryCommand(t, env2, "restore", name); err != nil || out != "restored 1 token, 1 revoked token\n" {
		t.Fatalf("belfry restore: %q, %v", out, err)
	}
	for token, want := range map[string]string{tokens[0]: "400 E101", tokens[1]: "401 E401", "": "401 E401", adminToken: "400 E101"} {
		eventually(t, func() string {
			if got := statusWith(t, second, token, "db"); got != want {
				return fmt.Sprintf("with a token: %s, want %s", got, want)
			}
			return ""
		})
	}
	// Without the admin's token there is none, and no file is made.
	delete(env, "BELFRY_TOKEN")
	none := filepath.Join(t.TempDir(), "none")
	if _, _, err := belfryCommand(t, env, "backup", none); err == nil || !strings.HasSuffix(err.Error(), "(E401)") {
		t.Errorf("without a token: %v, want E401", err)
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a backup that was not made: %v, want that there is none", err)
	}
}

// What is no good backup is not sent, and one that ends early is not kept.
func TestBadBackups(t *testing.T) {
	t.Parallel()
	s := startServer(t, freePorts(t))
	env := map[string]string{"BELFRY_SERVER": "http://" + s.Addr()}
	file := overdue(t, 100, "http://127.0.0.1:1")
	altered := bytes.Clone(file)
	altered[len(altered)/2] ^= 1
	for what, content := range map[string][]byte{"cut off": file[:len(file)-30], "altered": altered, "text": []byte("hello")} {
		name := filepath.Join(t.TempDir(), "backup")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := belfryCommand(t, env, "restore", name); err == nil || !strings.Contains(err.Error(), "nothing was restored from "+name) || !errors.Is(err, job.ErrBackup) {
			t.Errorf("a backup that is %s: %v, want that nothing was restored", what, err)
		}
	}
	if status, body := call(t, s, http.MethodGet, "/job/db", ""); body != `{"jobs":[]}` {
		t.Errorf("after that there are jobs: %d %s", status, body)
	}
	for _, args := range [][]string{{"restore"}, {"restore", "/nowhere/at/all"}, {"backup"}, {"backup", ""}, {"backup", "/nowhere/at/all"}} {
		if _, _, err := belfryCommand(t, env, args...); err == nil {
			t.Errorf("belfry %q is no error", args)
		}
	}
	out, told, err := belfryCommand(t, env, "backup", "-")
	if wrong := readBackup(strings.NewReader(out)); err != nil || wrong != nil || told != "backed up nothing, since there is nothing\n" {
		t.Errorf("belfry backup -: %q, %v, %v", told, err, wrong)
	}

	// The server that answers ends in the middle.
	cut := newReceiver(t, nil)
	kept := filepath.Join(t.TempDir(), "kept")
	_ = os.WriteFile(kept, []byte("an earlier one"), 0o600)
	if _, _, err := belfryCommand(t, map[string]string{"BELFRY_SERVER": cut.url}, "backup", kept); err == nil || !strings.Contains(err.Error(), "no backup was made") {
		t.Errorf("of a server that sends nothing: %v, want that no backup was made", err)
	}
	cutting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(file[:len(file)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer cutting.Close()
	if _, _, err := belfryCommand(t, map[string]string{"BELFRY_SERVER": cutting.URL}, "backup", kept); command.ExitCode(err) != 6 || !strings.Contains(err.Error(), "no backup was made") {
		t.Errorf("of a server that ends in the middle: exit code %d, %v; want 6, and that no backup was made", command.ExitCode(err), err)
	}
	if got, err := os.ReadFile(kept); string(got) != "an earlier one" || err != nil {
		t.Errorf("the earlier backup is %q, %v", got, err)
	}
}
