package main

// Test inputs made from a number. tests/codec/deflate_inputs.h makes the same bytes in C++.

type random struct{ state uint64 }

func (r *random) next() uint64 { // splitmix64
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(limit uint64) uint64 { return r.next() % limit }

const (
	kindAlphabet = iota
	kindText
	kindTar
	kindRepetitive
	kindNoise
	kindCopies
	kindSwitching
	kindCount
)

func fillAlphabet(r *random, out []byte, size int) []byte {
	letters := 1 + r.below(256)
	skewed := r.below(2) == 1
	first := r.below(256)
	for ; size > 0; size-- {
		v := r.below(letters)
		if skewed {
			v = v * r.below(letters) / letters
		}
		out = append(out, byte(first+v))
	}
	return out
}

func fillText(r *random, out []byte, size int) []byte {
	const separators = "        ,.\n-\t;"
	words := 50 + r.below(3000)
	seed := r.next()
	for end := len(out) + size; len(out) < end; {
		pick := r.below(words) * r.below(words) / words
		word := random{seed + pick}
		for letters := 1 + word.below(9); letters > 0 && len(out) < end; letters-- {
			out = append(out, byte('a'+word.below(26)*word.below(26)/26))
		}
		if len(out) < end {
			out = append(out, separators[r.below(uint64(len(separators)))])
		}
	}
	return out
}

func fillTar(r *random, out []byte, size int) []byte {
	end := len(out) + size
	for number := uint64(0); len(out) < end; number++ {
		body := int(r.below(1 + r.below(40000)))
		header := make([]byte, 512)
		name := fillText(r, nil, 8+int(r.below(60)))
		copy(header, "usr/share/")
		copy(header[10:], name)
		copy(header[100:], "0000644\x000000000\x000000000\x00")
		for i, left := 0, body; i < 11; i, left = i+1, left/8 {
			header[134-i] = byte('0' + left%8)
		}
		copy(header[136:], "14712345670\x00")
		header[147-int(number%4)] = byte('0' + number%8)
		for i, left := 0, r.below(262144); i < 6; i, left = i+1, left/8 {
			header[153-i] = byte('0' + left%8)
		}
		header[155], header[156] = ' ', '0'
		copy(header[257:], "ustar\x0000root")
		copy(header[297:], "root")
		out = append(out, header...)
		kinds := []int{kindAlphabet, kindText, kindText, kindRepetitive, kindNoise, kindCopies}
		out = fillKind(r, kinds[r.below(6)], out, body)
		for len(out)%512 != 0 {
			out = append(out, 0)
		}
	}
	return out[:end]
}

func fillRepetitive(r *random, out []byte, size int) []byte {
	limits := []uint64{1, 4, 40, 700, 33000, 70000}
	period := int(1 + r.below(limits[r.below(6)]))
	rarity := 1 + r.below(20000)
	start := len(out)
	for end := start + size; len(out) < end; {
		if len(out)-start < period || r.below(rarity) == 0 {
			out = append(out, byte(r.next()))
		} else {
			out = append(out, out[len(out)-period])
		}
	}
	return out
}

func fillNoise(r *random, out []byte, size int) []byte {
	for end := len(out) + size; len(out) < end; {
		v := r.next()
		for i := 0; i < 8 && len(out) < end; i++ {
			out = append(out, byte(v>>(8*i)))
		}
	}
	return out
}

func fillCopies(r *random, out []byte, size int) []byte {
	start := len(out)
	letters := 2 + r.below(255)
	literals := 1 + r.below(30)
	longest := 4 + r.below(600)
	for end := start + size; len(out) < end; {
		run := r.below(literals)
		if len(out) == start {
			run++
		}
		for ; run > 0 && len(out) < end; run-- {
			out = append(out, byte(r.below(letters)))
		}
		known := uint64(len(out) - start)
		distance := 1 + r.below(uint64(1)<<r.below(17))
		if r.below(8) == 0 {
			distance = 32500 + r.below(300)
		}
		if distance > known {
			distance = 1 + r.below(known)
		}
		for length := 3 + r.below(longest)*r.below(longest)/longest; length > 0 && len(out) < end; length-- {
			out = append(out, out[len(out)-int(distance)])
		}
	}
	return out
}

func fillSwitching(r *random, out []byte, size int) []byte {
	for end := len(out) + size; len(out) < end; {
		part := int(1 + r.below(1+r.below(100000)))
		if part > end-len(out) {
			part = end - len(out)
		}
		out = fillKind(r, int(r.below(kindSwitching)), out, part)
	}
	return out
}

func fillKind(r *random, kind int, out []byte, size int) []byte {
	switch kind {
	case kindAlphabet:
		return fillAlphabet(r, out, size)
	case kindText:
		return fillText(r, out, size)
	case kindTar:
		return fillTar(r, out, size)
	case kindRepetitive:
		return fillRepetitive(r, out, size)
	case kindNoise:
		return fillNoise(r, out, size)
	case kindCopies:
		return fillCopies(r, out, size)
	default:
		return fillSwitching(r, out, size)
	}
}

func inputSize(r *random, id uint64) int {
	if id%2000 == 1999 {
		return int(r.below(8<<20 + 1))
	}
	limits := []uint64{300, 300, 2000, 2000, 8192, 8192, 8192, 40000, 70000, 0}
	limit := limits[r.below(10)]
	if limit == 0 {
		limit = []uint64{65536, 131072, 200000, 400000}[r.below(4)]
	}
	return int(r.below(limit + 1))
}

func makeInput(id uint64) []byte {
	r := &random{id * 0x632be59bd9b4e019}
	kind := int(id % kindCount)
	size := inputSize(r, id)
	return fillKind(r, kind, make([]byte, 0, size+512), size)
}

// A call made on the encoder: a write of so many bytes, or a flush.
type call struct {
	bytes int
	flush bool
}

// makeCalls cuts an input into writes; one input in four is flushed in places.
func makeCalls(id uint64, size int) []call {
	var calls []call
	r := &random{id*0x632be59bd9b4e019 + 1}
	mode := id / kindCount % 4
	limit := uint64(1) << (4 + r.below(14))
	for done := 0; done < size; {
		part := size
		switch mode {
		case 1:
			part = 32768
		case 2, 3:
			part = int(r.below(limit) + 1)
		}
		if part > size-done {
			part = size - done
		}
		calls = append(calls, call{bytes: part})
		done += part
		if mode == 3 && r.below(6) == 0 {
			calls = append(calls, call{flush: true})
			if r.below(8) == 0 {
				calls = append(calls, call{flush: true})
			}
		}
	}
	return calls
}
