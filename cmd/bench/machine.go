package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// machine describes the machine that the figures were measured on.
type machine struct {
	cpu   string
	cores int
	fsync time.Duration // the median of appending 4 KiB and syncing
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), %s, nats-server %s, fsync p50 %.2f ms, %s",
		m.cores, m.cpu, runtime.Version(), server.VERSION, inMs(m.fsync), time.Now().UTC().Format(time.DateOnly))
}

func describeMachine(dir string) (machine, error) {
	m := machine{cpu: cpuName(), cores: runtime.NumCPU()}
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return m, err
	}
	defer f.Close()
	block := make([]byte, 4096)
	var took []time.Duration
	for range 200 {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return m, err
		}
		if err := f.Sync(); err != nil {
			return m, err
		}
		took = append(took, time.Since(start))
	}
	m.fsync = time.Duration(spread(took)[0] * float64(time.Millisecond))
	return m, nil
}

// cpuName returns the processor's name, which is known on Linux only.
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return runtime.GOARCH
}

// usage is how much the cores have worked since the machine started, for all programs
// and for this one with its children that have ended.
type usage struct {
	all, own time.Duration
	at       time.Time
}

func cpuUsage() usage {
	u := usage{at: time.Now()}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			u.own += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	stat, _ := os.ReadFile("/proc/stat") // known on Linux only
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal …, in 1/100 s
		if ticks, err := strconv.Atoi(field); err == nil && i <= 8 && i != 4 && i != 5 {
			u.all += time.Duration(ticks) * (time.Second / 100)
		}
	}
	return u
}

// others returns the share of the cores that other programs have used since before, in
// percent.
func (u usage) others(before usage) float64 {
	used := (u.all - before.all) - (u.own - before.own)
	span := u.at.Sub(before.at) * time.Duration(runtime.NumCPU())
	return max(100*float64(used)/float64(span), 0)
}
