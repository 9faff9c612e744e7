package dest

import (
	"golang.org/x/sys/unix"
)

// holeFrom is the least number of zeros within other data that become a hole,
// in bytes (rsync-transfer 4.7). At the ends of what is written any do.
const holeFrom = 1024

// putSparse writes p at an offset with holes for its runs of zeros.
func (o *Output) putSparse(p []byte, at int64) error {
	for len(p) > 0 {
		zeros := leadingZeros(p)
		if zeros == len(p) || zeros > 0 {
			if err := o.hole(at, int64(zeros)); err != nil {
				return err
			}
			p, at = p[zeros:], at+int64(zeros)
			continue
		}
		n := dataRun(p)
		if err := pwrite(o.fd, p[:n], at); err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

// hole sees to it that n bytes at an offset are a hole, or zeros where the file
// system has none.
func (o *Output) hole(at, n int64) error {
	if !o.punch || n == 0 {
		return nil
	}
	err := unix.Fallocate(o.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, n)
	if err == nil {
		return nil
	}
	var zeros [64 << 10]byte
	for n > 0 {
		c := min(n, int64(len(zeros)))
		if err := pwrite(o.fd, zeros[:c], at); err != nil {
			return err
		}
		at, n = at+c, n-c
	}
	return nil
}

func leadingZeros(p []byte) int {
	for i, b := range p {
		if b != 0 {
			return i
		}
	}
	return len(p)
}

// dataRun is how much of p is to be written before the next hole. p starts with
// data.
func dataRun(p []byte) int {
	for i := 0; i < len(p); {
		if p[i] != 0 {
			i++
			continue
		}
		zeros := leadingZeros(p[i:])
		if zeros >= holeFrom || i+zeros == len(p) {
			return i
		}
		i += zeros
	}
	return len(p)
}
