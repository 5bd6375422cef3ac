// Command regen makes the golden digests of tests/data/deflate from the real encoders.
//
//	go run . > ../golden.txt        (or only some encoders: go run . go126)
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
	"runtime"
	"strings"

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
		name:   "klauspost118",
		levels: []int{1, 5, 6},
		open: func(w io.Writer, level int, _ uint64) encoder {
			e, err := klauspost.NewWriter(w, level)
			check(err)
			return e
		},
	},
	{
		name:   "pgzip118",
		levels: []int{1, 5, 6},
		open: func(w io.Writer, level int, id uint64) encoder {
			e, err := pgzip.NewWriterLevel(w, level)
			check(err)
			check(e.SetConcurrency(pgzipBlock(id), 2))
			return e
		},
		frame: [2]int{10, 8},
	},
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

func main() {
	if !strings.HasPrefix(runtime.Version(), "go1.26") {
		fmt.Fprintln(os.Stderr, "regen: compress/flate must be that of Go 1.26, this is", runtime.Version())
		os.Exit(1)
	}
	wanted := map[string]bool{}
	for _, name := range os.Args[1:] {
		wanted[name] = true
	}
	type key struct {
		family string
		level  int
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
		for _, f := range families {
			if len(wanted) != 0 && !wanted[f.name] {
				continue
			}
			for _, level := range f.levels {
				k := key{f.name, level}
				if id%batchSize == 0 {
					batches[k] = sha256.New()
				}
				sum := encode(f, level, id, input, calls)
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
