package audit

import "log/slog"

// Report gives tests outside the package the report.
type Report struct{ r *report }

func NewReport(log *slog.Logger) Report { return Report{&report{log: log, harm: map[string]string{}}} }

func (r Report) Note(asset, amiss string) { r.r.note(asset, amiss) }
func (r Report) Amiss() []string          { return r.r.amiss() }
func (r Report) Harmed() []string         { return r.r.harmed() }
