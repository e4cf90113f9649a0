package command

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	durationAccepts = "a duration is accepted, as in 90s, 10m, 1h30m, 2d or 1w"
	momentAccepts   = "a time is accepted, as in 2026-12-24T18:00 (your zone), 2026-12-24T18:00:00.5Z, 1798135200000 (unix ms), now, +10m or -2d"
)

// unitsOfDays are the units that [time.ParseDuration] does not have. A day is
// 24 hours.
var unitsOfDays = regexp.MustCompile(`^(?:(\d{1,5})w)?(?:(\d{1,6})d)?(.*)$`)

// parseDuration reads a duration of zero or more, also in days and weeks.
func parseDuration(s string) (time.Duration, bool) {
	m := unitsOfDays.FindStringSubmatch(s)
	if m == nil || s == "" || strings.HasPrefix(m[3], "-") || strings.HasPrefix(m[3], "+") {
		return 0, false
	}
	weeks, _ := strconv.Atoi("0" + m[1])
	days, _ := strconv.Atoi("0" + m[2])
	var rest time.Duration
	if m[3] != "" {
		var err error
		if rest, err = time.ParseDuration(m[3]); err != nil {
			return 0, false
		}
	}
	if days += 7 * weeks; days > 100_000 { // an int64 ends at 106,751
		return 0, false
	}
	d := time.Duration(days)*24*time.Hour + rest
	return d, d >= 0
}

// momentLayouts are the layouts of times without a zone: those that people type and
// those that the tables show.
var momentLayouts = []string{
	"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02",
}

// parseMoment reads a time as unix milliseconds. A time without a zone is in the zone
// of now; a time with a sign is relative to now.
func parseMoment(s string, now time.Time) (int64, bool) {
	if s == "now" {
		return now.UnixMilli(), true
	}
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		d, ok := parseDuration(rest)
		return now.Add(d).UnixMilli(), ok
	}
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		d, ok := parseDuration(rest)
		return now.Add(-d).UnixMilli(), ok
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return ms, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), true
		}
	}
	if all, exists := wallClock(s, now.Location()); exists && len(all) == 1 {
		return all[0].UnixMilli(), true
	}
	return 0, false
}

// wallClock returns the moments that a time without a zone can mean in a zone. There
// are two where clocks are set back. Where clocks are set forward the time does not
// exist, and the moments are the time read by the clock before and by the clock
// after.
func wallClock(s string, zone *time.Location) (all []time.Time, exists bool) {
	for _, layout := range momentLayouts {
		wall, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		var meant, near []time.Time
		for _, around := range []time.Duration{-36 * time.Hour, 36 * time.Hour} {
			_, offset := wall.Add(around).In(zone).Zone()
			t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
			if len(near) > 0 && t.Equal(near[0]) {
				continue
			}
			near = append(near, t)
			if y, m, d := t.Date(); y == wall.Year() && m == wall.Month() && d == wall.Day() &&
				t.Hour() == wall.Hour() && t.Minute() == wall.Minute() && t.Second() == wall.Second() {
				meant = append(meant, t)
			}
		}
		if len(meant) > 0 {
			return meant, true
		}
		return near, false
	}
	return nil, false
}

// notOneMoment says why a valid time without a zone is not accepted, and lists the
// spellings that are; it returns "" if the time is one moment.
func notOneMoment(s string, zone *time.Location) string {
	all, exists := wallClock(s, zone)
	if len(all) < 2 {
		return ""
	}
	why := "it does not exist, since clocks are set forward then"
	if exists {
		why = "it exists twice, since clocks are set back then"
	}
	slices.SortFunc(all, time.Time.Compare)
	return fmt.Sprintf("in your zone %s %s; %s or %s is accepted", zone, why, all[0].Format(time.RFC3339Nano), all[1].Format(time.RFC3339Nano))
}

// moment returns a time as tables show it, in the zone of now; "" if there is none.
func moment(ms int64, now time.Time) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).In(now.Location()).Format("2006-01-02 15:04:05.000")
}

// distance returns how far a time is from now, such as "in 9m59s", "now" or "2d3h
// ago"; "" if there is none.
func distance(ms int64, now time.Time) string {
	switch away := ms - now.UnixMilli(); {
	case ms == 0:
		return ""
	case away == 0:
		return "now"
	case away > 0:
		return "in " + roughly(away)
	default:
		return roughly(-away) + " ago"
	}
}

// momentAndDistance combines [moment] and [distance].
func momentAndDistance(ms int64, now time.Time) string {
	if ms == 0 {
		return ""
	}
	return moment(ms, now) + "  (" + distance(ms, now) + ")"
}

// roughly returns a duration in its two largest units.
func roughly(ms int64) string {
	if ms < 1000 {
		return fmt.Sprintf("%dms", ms)
	}
	s := ms / 1000
	for _, unit := range []struct {
		seconds      int64
		large, small string
		part         int64
	}{{86400, "d", "h", 3600}, {3600, "h", "m", 60}, {60, "m", "s", 1}} {
		if n := s / unit.seconds; n > 0 {
			if rest := s % unit.seconds / unit.part; rest > 0 {
				return fmt.Sprintf("%d%s%d%s", n, unit.large, rest, unit.small)
			}
			return fmt.Sprintf("%d%s", n, unit.large)
		}
	}
	return fmt.Sprintf("%ds", s)
}
