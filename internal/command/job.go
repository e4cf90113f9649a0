package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// aJob lists the arguments that name a job.
var aJob = []string{"DB", "COLLECTION", "ID"}

// jobCommand has the commands about jobs.
func jobCommand(r remote) *cli.Command {
	content := []cli.Flag{
		text("in", "DURATION", "when it is due, from now on, as in 10m or 2d"),
		text("at", "TIME", "when it is due, as in 2026-12-24T18:00, with an offset or Z or else in your zone, or unix ms"),
		text("route", "ROUTE", "who gets it, a route of the db"),
		text("data", "JSON", "what the route gets, byte for byte: JSON, @FILE, or - for standard input; null if it is left out"),
	}
	return &cli.Command{
		Name:  "job",
		Usage: "create, look at, change and cancel jobs",
		Commands: []*cli.Command{
			r.command("add", "create a job and print its id, made up if it is left out", []string{"DB", "COLLECTION", "[ID]"}, content, r.addJob),
			r.command("import", "create the jobs of a file, JSON lines or a JSON array; - is standard input", []string{"DB", "COLLECTION", "FILE"}, []cli.Flag{
				yes("quiet", "do not print those that failed, only how many"),
			}, r.importJobs),
			r.command("get", "show a job", aJob, nil, r.getJob),
			r.command("ls", "list the jobs of a db or collection", []string{"DB", "[COLLECTION]"}, append(jobFilterFlags(), limitFlag()), r.listJobs),
			r.command("edit", "change the fields of a job that are given", aJob, content, r.editJob),
			r.command("rm", "cancel a job, or those that a filter selects", []string{"DB", "[COLLECTION]", "[ID]"}, append(jobFilterFlags(),
				yes("all", "all of the db or collection, instead of a filter"),
				yes("dry-run", "only count them"),
				yes("force", forceUsage),
			), r.cancelJobs),
			r.command("attempts", "show what became of each try", aJob, nil, r.listAttempts),
			r.command("fire", "fire a job that waits now", aJob, nil, r.fireJob),
		},
	}
}

// jobPath is the path of the job that the arguments name, followed by more.
func jobPath(cmd *cli.Command, more ...string) string {
	return client.Path(append(append([]string{"job"}, cmd.Args().Slice()...), more...)...)
}

func (r remote) addJob(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	j := client.NewJob{ID: cmd.Args().Get(2), Route: cmd.String("route")}
	madeUp := j.ID == ""
	if madeUp {
		j.ID = rand.Text()
	}
	now := r.now()
	due, given, err := r.due(cmd, now)
	switch {
	case err != nil:
		return err
	case !given:
		return usagef("when it is due is missing: --in DURATION or --at TIME")
	case j.Route == "":
		return usagef("--route is missing: who gets it, a route of the db")
	}
	if err := checkIDs("ID", j.ID, "--route", j.Route); err != nil {
		return err
	}
	j.TriggerTime = due
	if j.Meta, _, err = r.meta(ctx, cmd); err != nil {
		return err
	}
	path := client.Path("job", cmd.Args().Get(0), cmd.Args().Get(1))
	_, err = c.Do(ctx, http.MethodPost, path, j)
	switch {
	case err != nil && madeUp:
		return advise(err, "repeat with ID %s, or there may be two jobs", j.ID)
	case err != nil:
		return err
	}
	if cmd.Bool("json") {
		answer, err := json.Marshal(map[string]string{"id": j.ID, "status": "ok"})
		if err != nil {
			return err
		}
		return r.raw(answer)
	}
	// The note is separate from the id, so that a script can read only the id.
	r.note("due %s, to %s", momentAndDistance(due, now), j.Route)
	return r.line("%s", j.ID)
}

// checkIDs checks ids that go into a body. The pairs are a name and an id each.
func checkIDs(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := job.CheckID(pairs[i], pairs[i+1]); err != nil {
			return Usage(err)
		}
	}
	return nil
}

func (r remote) getJob(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodGet, jobPath(cmd), nil)
	if err != nil {
		return err
	}
	var j client.Job
	return r.show(cmd, answer, &j, func() error {
		now := r.now()
		return r.facts([][]string{
			{"DB", j.DB},
			{"Collection", j.Collection},
			{"ID", j.ID},
			{"Status", string(j.Status)},
			{"Route", j.Route},
			{"Due", momentAndDistance(j.TriggerTime, now)},
			{"Tries begun", strconv.Itoa(j.Attempt)},
			{"Next try", momentAndDistance(j.NextAttemptTime, now)},
			{"Reason", j.Reason},
			{"Detail", j.Detail},
			{"Finished", momentAndDistance(j.FinishedTime, now)},
			{"Data", string(harmless(j.Meta))},
		})
	})
}

// editJob puts the current job with the given fields changed, if nobody has changed
// the job in between.
func (r remote) editJob(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	now := r.now()
	due, newDue, err := r.due(cmd, now)
	if err != nil {
		return err
	}
	meta, newMeta, err := r.meta(ctx, cmd)
	if err != nil {
		return err
	}
	switch {
	case !newDue && !newMeta && !cmd.IsSet("route"):
		return usagef("there is nothing to change; accepted are --in, --at, --route and --data")
	}
	if cmd.IsSet("route") {
		if err := checkIDs("--route", cmd.String("route")); err != nil {
			return err
		}
	}
	answer, etag, err := c.Get(ctx, jobPath(cmd))
	if err != nil {
		return err
	}
	var was client.Job
	if err := json.Unmarshal(answer, &was); err != nil {
		return unreadable(err)
	}
	j := client.JobChange{ID: was.ID, TriggerTime: was.TriggerTime, Meta: was.Meta, Route: was.Route}
	if newDue {
		j.TriggerTime = due
	}
	if newMeta {
		j.Meta = meta
	}
	if cmd.IsSet("route") {
		j.Route = cmd.String("route")
	}
	answer, err = c.Change(ctx, http.MethodPut, jobPath(cmd), etag, j)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "changed %s: due %s, to %s", j.ID, momentAndDistance(j.TriggerTime, now), j.Route)
}

func (r remote) fireJob(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodPost, jobPath(cmd, "fire"), nil)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "fired %s", cmd.Args().Get(2))
}
