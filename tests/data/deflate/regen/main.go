// Command regen makes the golden digests of tests/data/deflate from the real encoders.
//
//	./regen.sh > ../golden.txt
//
// or only some encoders: go run . go126. klauspost/compress is made with the version that is linked:
// go run -modfile=klauspost117.mod . names its lines klauspost117 and pgzip117; only levels at which a
// version may differ from the one before are made, all with -all.
//
// Lines: encoder, level, "item" or "batch", its number, the first 16 bytes of a SHA-256. An item
// is one input; a batch is batchSize of them, its digest that of their full digests in order.
package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	klauspost "github.com/klauspost/compress/flate"
	"github.com/klauspost/pgzip"
)

const (
	batchSize  = 100
	batchCount = 100
	itemCount  = 28
)

var extraItems = []uint64{499, 999, 1999}

type encoder interface {
	Write([]byte) (int, error)
	Flush() error
	Close() error
}

type family struct {
	name   string
	levels []int
	open   func(w io.Writer, level int, id uint64) encoder
	frame  [2]int // bytes around the deflate stream: header, trailer
	inputs uint64 // only so many; 0: all
}

var families = []family{
	{
		name:   "go126",
		levels: []int{-2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		open: func(w io.Writer, level int, _ uint64) encoder {
			e, err := flate.NewWriter(w, level)
			check(err)
			return e
		},
	},
	{
		name:   "klauspost" + klauspostVersion(),
		levels: klauspostLevels["klauspost"+klauspostVersion()],
		open: func(w io.Writer, level int, _ uint64) encoder {
			e, err := klauspost.NewWriter(w, level)
			check(err)
			return e
		},
	},
	{
		name:   "pgzip" + klauspostVersion(),
		levels: klauspostLevels["pgzip"+klauspostVersion()],
		open: func(w io.Writer, level int, id uint64) encoder {
			e, err := pgzip.NewWriterLevel(w, level)
			check(err)
			check(e.SetConcurrency(pgzipBlock(id), 2))
			return e
		},
		frame: [2]int{10, 8},
	},
	{
		name:   "pigz26",
		levels: allLevels,
		open: func(w io.Writer, level int, id uint64) encoder {
			block := strconv.Itoa(32 << (id % 3))
			return &pigz{out: w, args: []string{"-" + strconv.Itoa(level), "-n", "-c", "-p", "2", "-b", block}}
		},
		frame:  [2]int{10, 8},
		inputs: 1000,
	},
}

// pigz is the program of that name (Debian package pigz 2.6). It cannot be flushed.
type pigz struct {
	out  io.Writer
	args []string
	in   bytes.Buffer
}

func (p *pigz) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *pigz) Flush() error                { return nil }
func (p *pigz) Close() error {
	command := exec.Command("pigz", p.args...)
	command.Stdin, command.Stdout, command.Stderr = &p.in, p.out, os.Stderr
	return command.Run()
}

var allLevels = []int{1, 2, 3, 4, 5, 6, 7, 8, 9}

var klauspostLevels = map[string][]int{
	"klauspost117": {4},
	"pgzip117":     {4},
	"klauspost118": allLevels,
	"pgzip118":     allLevels,
	"klauspost119": allLevels,
	"pgzip119":     allLevels,
	"klauspost120": {},
	"pgzip120":     {7, 8, 9},
}

// klauspostVersion is 118 for 1.18.0. Versions 1.18.2 and on count as 119: their output is the same.
func klauspostVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		panic("built without module information")
	}
	for _, m := range info.Deps {
		if m.Path != "github.com/klauspost/compress" {
			continue
		}
		var major, minor, patch int
		_, err := fmt.Sscanf(m.Version, "v%d.%d.%d", &major, &minor, &patch)
		check(err)
		if minor == 18 && patch >= 2 {
			minor++
		}
		return fmt.Sprintf("%d%d", major, minor)
	}
	panic("klauspost/compress is not linked")
}

// pgzipBlock is the block size of an input: mostly small, so that small inputs have several blocks.
func pgzipBlock(id uint64) int {
	if id%5 == 4 {
		return 1 << 20
	}
	return int(16385 + id*7919%100000)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func encode(f family, level int, id uint64, input []byte, calls []call) [sha256.Size]byte {
	var out bytes.Buffer
	e := f.open(&out, level, id)
	for _, c := range calls {
		if c.flush {
			check(e.Flush())
			continue
		}
		_, err := e.Write(input[:c.bytes])
		check(err)
		input = input[c.bytes:]
	}
	check(e.Close())
	return sha256.Sum256(out.Bytes()[f.frame[0] : out.Len()-f.frame[1]])
}

type key struct {
	family string
	level  int
}

// encodeAll runs the encoders side by side.
func encodeAll(wanted map[string]bool, id uint64, input []byte, calls []call) map[key][sha256.Size]byte {
	sums := map[key][sha256.Size]byte{}
	var lock sync.Mutex
	var group sync.WaitGroup
	slots := make(chan bool, runtime.NumCPU())
	for _, f := range families {
		if len(wanted) != 0 && !wanted[f.name] {
			continue
		}
		if f.inputs != 0 && id >= f.inputs {
			continue
		}
		for _, level := range f.levels {
			group.Add(1)
			slots <- true
			go func() {
				sum := encode(f, level, id, input, calls)
				lock.Lock()
				sums[key{f.name, level}] = sum
				lock.Unlock()
				<-slots
				group.Done()
			}()
		}
	}
	group.Wait()
	return sums
}

func main() {
	if !strings.HasPrefix(runtime.Version(), "go1.26") {
		fmt.Fprintln(os.Stderr, "regen: compress/flate must be that of Go 1.26, this is", runtime.Version())
		os.Exit(1)
	}
	if len(os.Args) == 3 && os.Args[1] == "time" {
		families[1].levels = allLevels
		timeEncoders(os.Args[2])
		return
	}
	wanted := map[string]bool{}
	for _, name := range os.Args[1:] {
		if name == "-all" {
			families[1].levels, families[2].levels = allLevels, allLevels
			continue
		}
		wanted[name] = true
	}
	batches := map[key]hash.Hash{}
	items := map[key][]string{}
	lines := map[key][]string{}
	for id := uint64(0); id < batchSize*batchCount; id++ {
		input := makeInput(id)
		if id%batchSize == 0 {
			fmt.Fprintln(os.Stderr, "input", id)
		}
		calls := makeCalls(id, len(input))
		sums := encodeAll(wanted, id, input, calls)
		for _, f := range families {
			if len(wanted) != 0 && !wanted[f.name] {
				continue
			}
			if f.inputs != 0 && id >= f.inputs {
				continue
			}
			for _, level := range f.levels {
				k := key{f.name, level}
				if id%batchSize == 0 {
					batches[k] = sha256.New()
				}
				sum := sums[k]
				batches[k].Write(sum[:])
				isItem := id < itemCount
				for _, extra := range extraItems {
					isItem = isItem || id == extra
				}
				if isItem {
					items[k] = append(items[k], fmt.Sprintf("%s %d item %d %x", f.name, level, id, sum[:16]))
				}
				if id%batchSize == batchSize-1 {
					lines[k] = append(lines[k], fmt.Sprintf("%s %d batch %d %x", f.name, level, id/batchSize,
						batches[k].Sum(nil)[:16]))
				}
			}
		}
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, f := range families {
		for _, level := range f.levels {
			for _, line := range append(items[key{f.name, level}], lines[key{f.name, level}]...) {
				fmt.Fprintln(out, line)
			}
		}
	}
}
