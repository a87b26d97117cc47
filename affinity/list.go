package affinity

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxCPU is the largest number of a CPU: a mask of the kernel has 1024 bits.
const MaxCPU = 1023

// ParseList reads a list of CPUs as the kernel writes it: 0-3,8,10-11. An empty list has no CPU.
// The result is sorted and has each CPU once.
func ParseList(s string) ([]int, error) {
	s = strings.TrimSpace(s)
	var cpus []int
	if s == "" {
		return cpus, nil
	}
	for _, part := range strings.Split(s, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		first, err1 := strconv.Atoi(lo)
		last, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil || first < 0 || last < first || last > MaxCPU {
			return nil, fmt.Errorf("affinity: %q in the list of CPUs %q, expected numbers or ranges like 0-3 up to %d",
				part, s, MaxCPU)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// FormatList writes sorted CPUs as the kernel does.
func FormatList(cpus []int) string {
	var b strings.Builder
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(cpus[i]))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(cpus[j]))
		}
		i = j + 1
	}
	return b.String()
}
