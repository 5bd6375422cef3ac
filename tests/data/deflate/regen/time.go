package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// timeEncoders prints for each encoder and level the processor time that it takes for a file: what
// bench/replay_bench compares with. The best of three.
func timeEncoders(path string) {
	input, err := os.ReadFile(path)
	check(err)
	for _, f := range families[:2] {
		for _, level := range f.levels {
			if level < 1 {
				continue
			}
			best := 0.0
			for round := 0; round < 3; round++ {
				start := cpuSeconds()
				e := f.open(io.Discard, level, 0)
				_, err := e.Write(input)
				check(err)
				check(e.Close())
				if seconds := cpuSeconds() - start; round == 0 || seconds < best {
					best = seconds
				}
			}
			fmt.Printf("%s %d %.4f\n", f.name, level, best)
		}
	}
}
