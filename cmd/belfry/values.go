package main

import (
	"encoding/hex"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func text(s string) (string, bool) { return s, true }

func duration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil
}

func boolean(s string) (bool, bool) {
	b, err := strconv.ParseBool(s)
	return b, err == nil
}

func level(s string) (slog.Level, bool) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warn": slog.LevelWarn, "error": slog.LevelError,
	}
	l, ok := levels[s]
	return l, ok
}

// parseSize reads a number of bytes, or of KiB or MiB.
func parseSize(s string) (int, bool) {
	unit := int64(1)
	if digits, ok := strings.CutSuffix(s, "KiB"); ok {
		s, unit = digits, 1<<10
	} else if digits, ok := strings.CutSuffix(s, "MiB"); ok {
		s, unit = digits, 1<<20
	}
	n, err := strconv.ParseInt(s, 10, 32) // no unit makes it overflow an int64
	n *= unit
	return int(n), err == nil && n <= math.MaxInt32
}

// sizeOrAuto is parseSize for a setting whose value Belfry may choose.
func sizeOrAuto(s string) (int, bool) {
	if s == "auto" {
		return 0, true
	}
	n, ok := parseSize(s)
	return n, ok && n != 0
}

// parseBytes reads a number of bytes, or of KiB, MiB, GiB or TiB.
func parseBytes(s string) (int64, bool) {
	unit := int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if digits, ok := strings.CutSuffix(s, name); ok {
			s, unit = digits, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * unit, err == nil && n >= 0 && n <= math.MaxInt64/unit
}

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func anything[T any](T) bool { return true }

func wholeSeconds(least time.Duration) func(time.Duration) bool {
	return func(d time.Duration) bool { return d >= least && d%time.Second == 0 }
}

func between(least, most int) func(int) bool {
	return func(n int) bool { return least <= n && n <= most }
}

func oneOf[T comparable](accepted ...T) func(T) bool {
	return func(v T) bool { return slices.Contains(accepted, v) }
}

func sizeOrZero(valid func(int) bool) func(int) bool {
	return func(n int) bool { return n == 0 || valid(n) }
}

func orEmpty(valid func(string) bool) func(string) bool {
	return func(s string) bool { return s == "" || valid(s) }
}

// readable accepts a value that stays text if parse can read it.
func readable[T any](parse func(string) (T, bool)) func(string) bool {
	return func(s string) bool { _, ok := parse(s); return ok }
}

func hostPort(leastPort int) func(string) bool {
	return func(s string) bool {
		_, port, err := net.SplitHostPort(s)
		if err != nil {
			return false
		}
		n, err := strconv.Atoi(port)
		return err == nil && leastPort <= n && n <= 65535
	}
}

// prefixes reads CIDR prefixes with commas between them.
func prefixes(s string) ([]netip.Prefix, bool) {
	if s == "" {
		return nil, true
	}
	var all []netip.Prefix
	for one := range strings.SplitSeq(s, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(one))
		if err != nil || p.Addr().Is4In6() { // addresses are judged as IPv4 if possible
			return nil, false
		}
		all = append(all, p)
	}
	return all, true
}

// natsURLs reads the URLs of NATS servers with commas between them.
func natsURLs(s string) ([]*url.URL, bool) {
	var all []*url.URL
	for one := range strings.SplitSeq(s, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return nil, false
		}
		all = append(all, u)
	}
	return all, true
}

// names reads a list of names with commas between them; none may be empty.
func names(s string) ([]string, bool) {
	if s == "" {
		return nil, true
	}
	all := strings.Split(s, ",")
	for i := range all {
		if all[i] = strings.TrimSpace(all[i]); all[i] == "" {
			return nil, false
		}
	}
	return all, true
}

// isDamageNumber reports whether the text is a number of a damage, as in the log.
func isDamageNumber(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 8
}
