// Command encoders compresses standard input as image builders do: "go N" with Go's compress/gzip
// (docker, containerd, kaniko), "pgzip N" with klauspost's pgzip (podman, buildah).
package main

import (
	"bufio"
	"compress/gzip"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/klauspost/pgzip"
)

func open(name string, level int, out io.Writer) (io.WriteCloser, error) {
	if name == "pgzip" {
		return pgzip.NewWriterLevel(out, level)
	}
	return gzip.NewWriterLevel(out, level)
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: encoders go|pgzip LEVEL < plain > packed")
	}
	level, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	out := bufio.NewWriter(os.Stdout)
	packer, err := open(os.Args[1], level, out)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.CopyBuffer(packer, bufio.NewReaderSize(os.Stdin, 1<<20), make([]byte, 1<<20)); err != nil {
		log.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		log.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
